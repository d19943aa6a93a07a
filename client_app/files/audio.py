"""Recordings, mixed down to one channel.

Legend: T times, K channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile

from client_app.data.preparation.raw import Waveform
from client_app.files.unreadable import unreadable

FORMATS = ("WAV", "WAVEX", "RF64", "FLAC", "OGG", "MP3", "AIFF")
MOST_VALUES = 2**26  # of all channels
RATES = (1000, 384_000)


def read(path: Path) -> Waveform:
    """The recording in a file; ConcordError C206."""
    with _opened(path) as sound:
        samples_TK = sound.read(dtype="float32", always_2d=True)
        if not len(samples_TK) or not np.isfinite(samples_TK).all():
            raise ValueError("there is no sound" if not len(samples_TK) else "an amplitude is not a number")
        return Waveform(samples_TK.mean(axis=1).clip(-1, 1), sound.samplerate)


def look(path: Path) -> str:
    """The rate of a recording from the file's head; ConcordError C206 where it has none."""
    with _opened(path) as sound:
        return f"{sound.samplerate} Hz"


@contextmanager
def _opened(path: Path) -> Iterator[soundfile.SoundFile]:
    try:
        with soundfile.SoundFile(path) as sound:
            if sound.format not in FORMATS:
                raise ValueError(f"format {sound.format} is not read")
            if not 0 < sound.frames * sound.channels <= MOST_VALUES:
                raise ValueError(f"{sound.frames:,} times in {sound.channels} channels, 1 to {MOST_VALUES:,} values are read")
            if not RATES[0] <= sound.samplerate <= RATES[1]:
                raise ValueError(f"{sound.samplerate} samples a second, {RATES[0]:,} to {RATES[1]:,} are read")
            yield sound
    except Exception as error:  # decoders of broken files raise anything
        raise unreadable(path, error) from error
