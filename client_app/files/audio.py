"""Recordings: wav, flac, ogg and whatever else libsndfile reads, as one channel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from client_app.data.preparation.raw import Waveform
from concord.errors import ConcordError

MOST_VALUES = 100_000_000  # of all channels, 400 MB: told from the header, before they are read


def read(path: Path) -> Waveform:
    """The mean of the channels of a recording; ConcordError C206 for a file that cannot be used."""
    try:
        with soundfile.SoundFile(path) as recording:
            if recording.frames * recording.channels > MOST_VALUES:
                raise ValueError(f"{recording.frames:,} frames of {recording.channels} channels are too many")
            samples_T = recording.read(dtype="float32", always_2d=True).mean(axis=1, dtype=np.float32)
            rate = recording.samplerate
        if not samples_T.size:
            raise ValueError("there is nothing in it")
        if not np.isfinite(samples_T).all():
            raise ValueError("some of its values are not finite")
    except (OSError, ValueError, soundfile.SoundFileError) as error:
        raise ConcordError("C206", f"{path}: {error}", "make the file again as wav or flac, or leave it out") from error
    return Waveform(samples_T, rate)
