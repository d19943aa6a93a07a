"""Reading one file of a user's own data into a sample, one file a kind. Files are hostile: bounds come before memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from client_app.data.preparation.raw import Kind
from concord.errors import ConcordError

SUFFIXES: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {
        "image": (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"),
        "audio": (".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff"),
        "text": (".txt",),
        "series": (".npy", ".npz"),
    }
)


def read(kind: str, path: Path) -> Any:
    """The sample in a file, of the type of its kind (`client_app.data.preparation.raw`); ConcordError C206 if there is none."""
    return _reader(kind).read(path)


def look_of(kind: str) -> Callable[[Path], str]:
    """What reads as little of a file as tells whether it is of the kind: a word on its form, or ConcordError C206."""
    look: Callable[[Path], str] = _reader(kind).look
    return look


def kind_of(path: str) -> Kind | None:
    """The kind of the samples in files of that name."""
    suffix = f".{path.rpartition('.')[2].lower()}"
    return next((kind for kind, suffixes in SUFFIXES.items() if suffix in suffixes), None)


def _reader(kind: str) -> ModuleType:
    """Imported here, since a process that trains reads features alone."""
    if kind not in SUFFIXES:
        raise ConcordError("C206", f"samples of kind {kind} are no files", f"files hold: {', '.join(SUFFIXES)}")
    return import_module(f"client_app.files.{kind}")
