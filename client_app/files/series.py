"""Time series, one a NumPy file, read without pickle.

Legend: T times, K channels.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from client_app.data.preparation.raw import Series
from client_app.files.unreadable import unreadable

MOST_VALUES = 2**24
MAGIC = b"\x93NUMPY"


def read(path: Path) -> Series:
    """The series in a file, [T, K], from an array [T] or [T, K] of numbers; an archive holds one array. ConcordError C206."""
    with _array_stream(path) as stream:
        series = np.lib.format.read_array(stream, allow_pickle=False).astype(np.float32)
        if not np.isfinite(series).all():
            raise ValueError("a value is not a number")
        return series.reshape(len(series), -1)


def look(path: Path) -> str:
    """The shape of a series from the file's head; ConcordError C206 where it has none."""
    with _array_stream(path) as stream:
        times, *channels = _shape(stream)
        return f"{times} x {channels[0] if channels else 1}"


@contextmanager
def _array_stream(path: Path) -> Iterator[IO[bytes]]:
    """A stream at the start of an array of a shape that may be read."""
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) == MAGIC:
                file.seek(0)
                stream: IO[bytes] = io.BytesIO(file.read(8 * MOST_VALUES + 4096))
            else:
                with zipfile.ZipFile(file) as archive:
                    (member,) = archive.infolist()
                    if member.file_size > 8 * MOST_VALUES + 4096:
                        raise ValueError(f"{member.file_size:,} bytes")
                    stream = io.BytesIO(archive.read(member))
        _shape(stream)
        stream.seek(0)
        yield stream
    except Exception as error:  # readers of broken archives raise anything
        raise unreadable(path, error) from error


def _shape(stream: IO[bytes]) -> tuple[int, ...]:
    version = np.lib.format.read_magic(stream)
    head = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = head(stream)
    if dtype.kind not in "iufb" or len(shape) not in (1, 2) or not 0 < np.prod(shape, dtype=float) <= MOST_VALUES:
        raise ValueError(f"an array of {dtype} {list(shape)}; numbers [T] or [T, K] are read, at most {MOST_VALUES:,}")
    return tuple(map(int, shape))
