"""Files of a data pack: what each must hold, what is wrong with the one at hand, and reading it safely.

A pack is untrusted input: NumPy archives are read without pickle, and every array is checked before it is used.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from concord.errors import ConcordError

T = TypeVar("T")
Arrays = Mapping[str, NDArray[Any]]
KINDS: dict[str, type[np.integer[Any]] | type[np.floating[Any]] | type[np.str_] | type[np.bool_]] = {
    "integer": np.integer,
    "real": np.floating,
    "text": np.str_,
    "mask": np.bool_,
}


class PackFile(Protocol):
    """One file of a pack.

    Attributes:
        path: where it is in the data folder.
        origin: where it can be had.
        size: bytes of the file that the published figures were made with.
        sha256: digest of that file.
    """

    @property
    def path(self) -> str: ...
    @property
    def origin(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def sha256(self) -> str: ...
    @property
    def layout(self) -> str:
        """What the file must hold, in words."""

    def problems(self, path: Path) -> Iterator[str]:
        """What is wrong with the file at `path`, which exists."""


@dataclass(frozen=True)
class Array:
    """An array of a NumPy archive: its kind, its shape, and the range of its values or the `words` of a text.

    A size is a number, or a name that means the same number in all arrays of a file; ``N+1`` is one more than ``N``.
    """

    kind: Literal["integer", "real", "text", "mask"]
    shape: tuple[int | str, ...]
    low: int | None = None
    high: int | None = None
    words: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.words:
            return f"{self.kind} [{', '.join(map(str, self.shape))}] = {', '.join(self.words)}"
        bounds = "" if self.low is None else f" = {self.low}" if self.low == self.high else f" in {self.low}..{self.high}"
        return f"{self.kind} [{', '.join(map(str, self.shape))}]{bounds}"


@dataclass(frozen=True)
class ArrayFile:
    """A NumPy archive, or a file of a single array, whatever its name here.

    `rows` names the array that ``offset`` cuts into samples of variable length, if any.
    """

    path: str
    origin: str
    size: int
    sha256: str
    arrays: Mapping[str, Array]
    rows: str = ""

    @property
    def layout(self) -> str:
        return "arrays " + "; ".join(f"{name} {array}" for name, array in self.arrays.items())

    def problems(self, path: Path) -> Iterator[str]:
        try:
            found = _load(path, self.arrays)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            yield f"cannot be read as a NumPy archive, it may be truncated: {error}"
            return
        sizes: dict[str, int] = {}
        sound = True
        for name, array in self.arrays.items():
            for problem in _array_problems(name, array, found, sizes):
                sound = False
                yield problem
        if sound and self.rows:
            yield from _offset_problems(found["offset"], len(found[self.rows]), self.rows)


@dataclass(frozen=True)
class TableFile:
    """Tab-separated UTF-8 text with a header; `label` is the column that holds the class, 0..9."""

    path: str
    origin: str
    size: int
    sha256: str
    columns: tuple[str, ...]
    label: str

    @property
    def layout(self) -> str:
        return f"tab-separated UTF-8 columns {', '.join(self.columns)} below a header; {self.label} in 0..9"

    def problems(self, path: Path) -> Iterator[str]:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            yield f"cannot be read as UTF-8 text: {error}"
            return
        header, *lines = text.split("\n")
        if tuple(header.split("\t")) != self.columns:
            yield f"the header is {header.split(chr(9))}, not {list(self.columns)}"
            return
        if lines.pop() or not lines:
            yield "the last line does not end, it is truncated" if lines else "there is no line below the header"
        column = self.columns.index(self.label)
        for number, line in enumerate(lines, start=2):
            cells = line.split("\t")
            if len(cells) != len(self.columns):
                yield f"line {number} has {len(cells)} columns, not {len(self.columns)}"
                return
            if cells[column] not in set("0123456789"):
                yield f"line {number}: {self.label} is {cells[column]!r}, outside 0..9"
                return


@dataclass(frozen=True)
class LinesFile(Generic[T]):
    """A JSON object a line. `read` takes what is used of one, and raises where that is not there; `holds` says what it is."""

    path: str
    origin: str
    size: int
    sha256: str
    lines: int
    holds: str
    read: Callable[[Any], T]

    @property
    def layout(self) -> str:
        return f"{self.lines} JSON objects, one a line, each with {self.holds}"

    def problems(self, path: Path) -> Iterator[str]:
        try:
            found = _load_lines(path, self.read)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
            yield f"cannot be read as lines of JSON: {type(error).__name__}: {error}"
            return
        if len(found) != self.lines:
            yield f"it has {len(found)} lines, not {self.lines}"


def require_sound(file: PackFile, data: Path) -> Path:
    """The path of a file without problems; ConcordError C202 otherwise."""
    path = data / file.path
    problems = list(file.problems(path))
    if problems:
        raise ConcordError("C202", f"{path}: {'; '.join(problems)}", how_to_mend(file))
    return path


def how_to_mend(file: PackFile) -> str:
    """What to do about a file that has problems."""
    return f"copy it again, or make it again from {file.origin}; it must hold {file.layout}"


def read_arrays(file: ArrayFile, data: Path) -> Arrays:
    """The arrays of a sound file; ConcordError C202 otherwise."""
    return _load(require_sound(file, data), file.arrays)


def read_table(file: TableFile, data: Path) -> list[dict[str, str]]:
    """The rows of a sound table; ConcordError C202 otherwise."""
    lines = require_sound(file, data).read_text(encoding="utf-8").split("\n")[1:-1]
    return [dict(zip(file.columns, line.split("\t"), strict=True)) for line in lines]


def read_lines(file: LinesFile[T], data: Path) -> list[T]:
    """What is used of each line of a sound file; ConcordError C202 otherwise."""
    return _load_lines(require_sound(file, data), file.read)


def _load_lines(path: Path, read: Callable[[Any], T]) -> list[T]:
    return [read(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def _load(path: Path, wanted: Mapping[str, Array]) -> dict[str, NDArray[Any]]:
    with path.open("rb") as stream:
        archive = np.load(stream, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            if len(wanted) > 1:
                raise ValueError("it holds a single array")
            return dict.fromkeys(wanted, archive)
        return {name: archive[name] for name in archive.files if name in wanted}


def _array_problems(name: str, array: Array, found: Arrays, sizes: dict[str, int]) -> Iterator[str]:
    """Checks one array; `sizes` collects what the names of sizes stand for."""
    if name not in found:
        yield f"there is no array {name!r} (there are: {', '.join(sorted(found)) or 'none that is expected'})"
        return
    values = found[name]
    if not np.issubdtype(values.dtype, KINDS[array.kind]):
        yield f"array {name!r} has dtype {values.dtype}, not {array.kind}"
        return
    if len(values.shape) != len(array.shape):
        yield f"array {name!r} has shape {list(values.shape)}, not [{', '.join(map(str, array.shape))}]"
        return
    for size, want in zip(values.shape, array.shape, strict=True):
        expected = _expected_size(want, size, sizes)
        if size != expected:
            yield f"array {name!r} has shape {list(values.shape)}: {size} where {want} = {expected} is expected"
            return
    if array.low is not None and array.high is not None and values.size:
        low, high = values.min().item(), values.max().item()
        if not array.low <= low <= high <= array.high:  # put so that NaN is outside
            yield f"array {name!r} has values {low}..{high}, outside {array.low}..{array.high}"
    if array.words and tuple(values.tolist()) != array.words:
        yield f"array {name!r} is {values.tolist()}, not {list(array.words)}"


def _expected_size(want: int | str, size: int, sizes: dict[str, int]) -> int:
    if isinstance(want, int):
        return want
    base, plus, more = want.partition("+")
    extra = int(more) if plus else 0
    return sizes.setdefault(base, size - extra) + extra


def _offset_problems(offset: NDArray[Any], total: int, rows: str) -> Iterator[str]:
    if offset[0] != 0 or offset[-1] != total or (np.diff(offset.astype(np.int64)) <= 0).any():
        yield f"'offset' must rise from 0 to the length of {rows!r}, {total}; it goes from {offset[0]} to {offset[-1]}"
