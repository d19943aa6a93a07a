"""The samples of one modality of a folder of own data, without opening any of them: who they are and where."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from client_app.data.own.layout import Source
from client_app.data.own.pattern import compiled, walk
from client_app.data.own.tables import Cell, column_names, rows
from client_app.files import SUFFIXES, read
from client_app.files.unreadable import printable, unreadable
from concord.errors import ConcordError

FILE = -1  # in place of a row: the sample is a file of its own
TOLD = ("id", "label", "owner", "split")


@dataclass(frozen=True, slots=True)
class Entry:
    """One sample.

    Attributes:
        id: unique in its modality; samples of two modalities with the same id are one instance.
        path: its file, or the table that it is a row of, below the folder.
        row: of the table, from 0; `FILE` where the sample is a file.
        label: the concept that it belongs to; None where that is not told.
        owner: the person or site that it came from, if told.
        split: ``train``, ``test`` or ``unseen``, if told.
        size: bytes of its content.
        stamp: what changes when the content does: the time of the file, the digest of a text.
    """

    id: str
    path: str
    row: int
    label: str | None
    owner: str | None
    split: str | None
    size: int
    stamp: str

    @property
    def key(self) -> str:
        """What changes when the sample does."""
        return f"{printable(self.path)} {self.size} {self.stamp}" if self.row == FILE else f"{self.size} {self.stamp}"

    @property
    def place(self) -> str:
        """Where a person finds it; rows count from the first below the header, as 1."""
        return printable(self.path) if self.row == FILE else f"{self.path}, row {self.row + 1}"


def entries_of(folder: Path, source: Source) -> list[Entry]:
    """The samples of a modality, in the order of their ids.

    Raises:
        ConcordError: C205, when a column is missing or two samples have one id; C206 for a table that cannot be read.
    """
    entries = sorted(listed(folder, source), key=lambda entry: entry.id)
    for entry, following in pairwise(entries):
        if entry.id == following.id:
            what = f"{folder}: {entry.place} and {following.place} have the same id {entry.id!r}"
            raise ConcordError("C205", what, "an id is that of one sample; `concord data check FOLDER` tells of all at once")
    return entries


def listed(folder: Path, source: Source) -> Iterator[Entry]:
    """The samples of a modality as they are found, with ids that may be there twice."""
    return _of_files(folder, source) if source.files else _of_table(folder, source)


def read_entries(folder: Path, source: Source, entries: Sequence[Entry]) -> Iterator[tuple[Entry, Any]]:
    """Each sample with its entry, one in memory at a time, in any order; ConcordError C206 for one that cannot be read."""
    if not source.in_table:
        for entry in entries:
            yield entry, read(source.kind, folder / entry.path)
        return
    wanted = {entry.row: entry for entry in entries}
    for row, (text,) in enumerate(rows(folder / source.table, (source.content,))):
        if row in wanted:
            yield wanted[row], text


def content_of(folder: Path, entry: Entry) -> str:
    """Size and SHA-256 of a sample's content: the same for a copy wherever it is."""
    if entry.row != FILE:
        return f"{entry.size} {entry.stamp}"
    try:
        with (folder / entry.path).open("rb") as stream:
            return f"{entry.size} {hashlib.file_digest(stream, 'sha256').hexdigest()}"
    except OSError as error:
        raise unreadable(folder / entry.path, error) from error


def _of_files(folder: Path, source: Source) -> Iterator[Entry]:
    pattern = compiled(source.files)
    for path, stat in walk(folder):
        if path.lower().endswith(SUFFIXES[source.kind]) and (found := pattern.fullmatch(path)):
            told = found.groupdict()
            yield _entry(source, path, FILE, stat.st_size, str(stat.st_mtime_ns), told)


def _of_table(folder: Path, source: Source) -> Iterator[Entry]:
    table = folder / source.table
    if not table.is_file():
        raise ConcordError("C205", f"{table}: there is no such file", "correct `table` in dataset.toml")
    have = column_names(table)
    told = [field for field in TOLD if getattr(source, field) in have or field in source.model_fields_set]
    for row, (cell, *cells) in enumerate(rows(table, (source.content, *(getattr(source, field) for field in told)))):
        about = dict(zip(told, cells, strict=True))
        if cell is None or not cell.strip():
            continue  # a gap
        if source.in_table:
            content = cell.encode(errors="replace")
            yield _entry(source, source.table, row, len(content), hashlib.sha256(content).hexdigest(), about)
        elif cell.lower().endswith(SUFFIXES[source.kind]):
            yield _linked(folder, source, row, cell, about)


def _linked(folder: Path, source: Source, row: int, path: str, told: Mapping[str, Cell]) -> Entry:
    """A sample in a file that a row names; a file that is missing has no size, and is told when it is read."""
    if path.startswith("/") or ".." in path.split("/"):
        what = f"{folder / source.table}, row {row + 1}: {path!r} leads out of the folder"
        raise ConcordError("C205", what, "write paths below the folder")
    try:
        stat = (folder / path).stat()
    except OSError:
        return _entry(source, path, FILE, 0, "", told)
    return _entry(source, path, FILE, stat.st_size, str(stat.st_mtime_ns), told)


def _entry(source: Source, path: str, row: int, size: int, stamp: str, told: Mapping[str, Cell]) -> Entry:
    said = {field: printable(cell) for field, cell in told.items() if cell}
    label = said.get("label")
    named = source.labels.get(label, label) if label else None
    id_ = said.get("id") or (printable(path) if row == FILE else f"{path}-{row + 1}")
    return Entry(id_, path, row, named, said.get("owner"), said.get("split"), size, stamp)
