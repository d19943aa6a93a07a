"""What is wrong with the rows and columns of a table whose rows are samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from client_app.data.own.entry import Entry
from client_app.data.own.layout import DATASET, Source
from client_app.data.own.problem import Problem
from client_app.data.own.rows_of_table import names_of, read_rows, table_rows, value_columns
from client_app.data.preparation.table import number_in, table_preparation
from client_app.encoders.table import TABLE, columns_of
from concord.errors import ConcordError


def tried_rows(
    folder: Path, source: Source, entries: Sequence[Entry], encoder: str
) -> Iterator[tuple[Entry, str | ConcordError]]:
    """A word on each row that the encoder takes, or what is wrong with it."""
    preparation = table_preparation(encoder.removeprefix(TABLE))
    for entry, row in read_rows(folder, source, entries):
        try:
            preparation.prepare(row)
        except ConcordError as error:
            yield entry, error
        else:
            yield entry, "row"


def about_columns(folder: Path, source: Source, encoder: str) -> Iterator[Problem]:
    """Columns that the anchors have and the table has not, or the other way round; without anchors those of a mixed kind."""
    table = folder / source.table
    held = names_of(source, value_columns(table, source))
    if not encoder:
        yield from _of_both_kinds(table, source, held)
        return
    wanted = [column.name for column in columns_of(encoder.removeprefix(TABLE))]
    hint = f"`columns` in {DATASET} says what a column is called in the anchors"
    for what, names in (
        ("are in the anchors, and not here", [name for name in wanted if name not in held]),
        ("are not in the anchors, and are not looked at", [name for name in held if name not in wanted]),
    ):
        if names:
            yield Problem(str(table), "note", "columns", f"{len(names):,} columns {what}: {', '.join(names[:10])}", hint)


def _of_both_kinds(table: Path, source: Source, names: Sequence[str]) -> Iterator[Problem]:
    numbers, others, first = Counter[str](), Counter[str](), dict[str, str]()
    for row in table_rows(table, source):
        for name, cell in row.items():
            if cell is None:
                continue
            if number_in(cell) is None:
                others[name] += 1
                first.setdefault(name, str(cell))
            else:
                numbers[name] += 1
    for name in names:
        if numbers[name] and others[name]:
            message = f"{name}: {numbers[name]:,} cells are numbers, {others[name]:,} are not, as {first[name]!r}"
            hint = "empty the cells that are not known; anchors whose cells are all numbers make it a column of numbers"
            yield Problem(str(table), "note", "mixed column", message, hint)
