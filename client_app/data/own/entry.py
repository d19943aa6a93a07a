"""A sample of own data before it is opened: who it is and where, and what a table tells of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from client_app.data.own.layout import Source
from client_app.data.own.tables import Cell, column_names
from client_app.files.unreadable import printable
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


def entry_of(source: Source, path: str, row: int, size: int, stamp: str, told: Mapping[str, Cell]) -> Entry:
    """The entry of a sample of which a pattern, or the cells of a row, told so."""
    said = {field: printable(cell) for field, cell in told.items() if cell}
    label = said.get("label")
    named = source.labels.get(label, label) if label else None
    id_ = said.get("id") or (printable(path) if row == FILE else f"{path}-{row + 1}")
    return Entry(id_, path, row, named, said.get("owner"), said.get("split"), size, stamp)


def told_columns(table: Path, source: Source) -> list[str]:
    """What a table tells of its samples, of id, label, owner and split; ConcordError C205 where there is no table."""
    if not table.is_file():
        raise ConcordError("C205", f"{table}: there is no such file", "correct `table` in dataset.toml")
    have = column_names(table)
    return [field for field in TOLD if getattr(source, field) in have or field in source.model_fields_set]
