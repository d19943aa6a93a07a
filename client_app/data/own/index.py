"""The samples of one modality of a folder of own data, without opening any of them: who they are and where."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from client_app.data.own.entry import FILE, Entry, entry_of, told_columns
from client_app.data.own.layout import Source
from client_app.data.own.pattern import compiled, walk
from client_app.data.own.rows_of_series import listed_series, read_series
from client_app.data.own.rows_of_table import listed_rows, read_rows
from client_app.data.own.tables import Cell, rows
from client_app.files import SUFFIXES, read
from client_app.files.unreadable import unreadable
from concord.errors import ConcordError


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
    if source.channels:
        return listed_series(folder, source)
    if source.kind == "table":
        return listed_rows(folder, source)
    return _of_files(folder, source) if source.files else _of_table(folder, source)


def read_entries(folder: Path, source: Source, entries: Sequence[Entry]) -> Iterator[tuple[Entry, Any]]:
    """Each sample with its entry, in any order, one in memory at a time but for series in a table.

    Raises:
        ConcordError: C206 for one that cannot be read.
    """
    if source.channels:
        yield from read_series(folder, source, entries)
        return
    if source.kind == "table":
        yield from read_rows(folder, source, entries)
        return
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
            yield entry_of(source, path, FILE, stat.st_size, str(stat.st_mtime_ns), told)


def _of_table(folder: Path, source: Source) -> Iterator[Entry]:
    table = folder / source.table
    told = told_columns(table, source)
    for row, (cell, *cells) in enumerate(rows(table, (source.content, *(getattr(source, field) for field in told)))):
        about = dict(zip(told, cells, strict=True))
        if cell is None or not cell.strip():
            continue  # a gap
        if source.in_table:
            content = cell.encode(errors="replace")
            yield entry_of(source, source.table, row, len(content), hashlib.sha256(content).hexdigest(), about)
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
        return entry_of(source, path, FILE, 0, "", told)
    return entry_of(source, path, FILE, stat.st_size, str(stat.st_mtime_ns), told)
