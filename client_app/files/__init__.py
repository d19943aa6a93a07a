"""Reading one file into a sample as `client_app.data.preparation.raw` has it. Files may come from anybody.

Texts and tables are rows of a file, so they are not read here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from client_app.data.preparation.raw import Kind, Picture, Waveform
from client_app.files import audio, image
from concord.errors import ConcordError

READERS: Mapping[Kind, Callable[[Path], Picture | Waveform]] = {"image": image.read, "audio": audio.read}


def read(kind: Kind, path: Path) -> Picture | Waveform:
    """The sample in a file; ConcordError C206 for one that cannot be used, or a kind that has no files of single samples."""
    if kind not in READERS:
        raise ConcordError("C206", f"{path}: a sample of kind {kind} is no file", f"files hold: {', '.join(READERS)}")
    return READERS[kind](path)
