"""Rows of a table as samples: a cell a column."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from client_app.data.own.entry import TOLD, Entry, entry_of, told_columns
from client_app.data.own.layout import Source
from client_app.data.own.tables import Cell, column_names, rows
from client_app.data.preparation.raw import Row
from client_app.data.preparation.table import number_in
from client_app.encoders.table import Column
from concord.errors import ConcordError


def listed_rows(folder: Path, source: Source) -> Iterator[Entry]:
    """The rows that have a value in any column; ConcordError C205, when a column that is named is missing."""
    table = folder / source.table
    told = told_columns(table, source)
    columns = value_columns(table, source)
    names = names_of(source, columns)
    for row, cells in enumerate(rows(table, (*columns, *(getattr(source, name) for name in told)))):
        known = {name: cell for name, cell in zip(names, cells, strict=False) if cell is not None}
        if known:  # the same content in any order of the columns
            content = json.dumps(known, ensure_ascii=False, sort_keys=True).encode(errors="replace")
            about = dict(zip(told, cells[len(columns) :], strict=True))
            yield entry_of(source, source.table, row, len(content), hashlib.sha256(content).hexdigest(), about)


def read_rows(folder: Path, source: Source, entries: Sequence[Entry]) -> Iterator[tuple[Entry, Row]]:
    """Each row with its entry, by the names that its columns have elsewhere."""
    wanted = {entry.row: entry for entry in entries}
    for number, row in enumerate(table_rows(folder / source.table, source)):
        if number in wanted:
            yield wanted[number], row


def table_rows(table: Path, source: Source) -> Iterator[Row]:
    """All rows of a table."""
    columns = value_columns(table, source)
    names = names_of(source, columns)
    for cells in rows(table, columns):
        yield dict(zip(names, cells, strict=True))


def value_columns(table: Path, source: Source) -> tuple[str, ...]:
    """The columns of a table that hold values, in its order: all but those that tell of the sample; ConcordError C205."""
    told = {getattr(source, name) for name in TOLD}
    found = tuple(name for name in column_names(table) if name not in told)
    if missing := [name for name in source.columns if name not in found]:
        raise ConcordError("C205", f"{table}: no column of values is called {missing[0]}", "correct `columns` in dataset.toml")
    if not found or len(set(names_of(source, found))) < len(found):
        what = "two columns have one name" if found else "no column holds values"
        raise ConcordError("C205", f"{table}: {what}", "correct `columns` in dataset.toml, or name another table")
    return found


def names_of(source: Source, columns: Sequence[str]) -> list[str]:
    """What columns are called in the anchors."""
    return [source.columns.get(column, column) for column in columns]


def columns_in(samples: Sequence[Row]) -> tuple[Column, ...]:
    """What the columns of rows hold: names, where any cell is no number. A column that is empty in all of them is left out."""
    cells_of: dict[str, list[Cell | float]] = {}
    for row in samples:
        for name, cell in row.items():
            cells_of.setdefault(name, []).append(cell)
    known = {name: [cell for cell in cells if cell not in (None, "")] for name, cells in cells_of.items()}
    return tuple(
        Column(name, any(number_in(c) is None for c in cells if c is not None)) for name, cells in known.items() if cells
    )
