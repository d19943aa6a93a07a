"""Time series in the long form: a table with a row a time, a column a channel and the id of the series in each row.

Legend: T times, K channels.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import nan
from pathlib import Path
from typing import Any

import numpy as np

from client_app.data.own.entry import Entry, entry_of, told_columns
from client_app.data.own.layout import Source
from client_app.data.own.tables import Cell, rows
from client_app.data.preparation.raw import Series
from client_app.files.series import MOST_VALUES
from client_app.files.unreadable import printable, unreadable
from concord.errors import ConcordError

LATEST = 1e15  # of times, as numbers
LARGEST = float(np.finfo(np.float32).max)


@dataclass(slots=True)
class _Found:
    """What the rows of one series have told so far."""

    row: int
    told: dict[str, Cell] = field(default_factory=dict)
    size: int = 0
    digest: Any = field(default_factory=hashlib.sha256)


def listed_series(folder: Path, source: Source) -> Iterator[Entry]:
    """The series of a table, in the order of their first rows.

    Raises:
        ConcordError: C205, when a column is missing, a row has no id, or two rows of a series tell different things of it.
    """
    table = folder / source.table
    told = told_columns(table, source)
    columns = (source.id, source.time, *source.channels)
    found: dict[str, _Found] = {}
    for row, cells in enumerate(rows(table, (*columns, *(getattr(source, name) for name in told)))):
        id_ = printable(cells[0] or "")
        if not id_:
            hint = f"a row of a series needs the id of the series, in column {source.id!r}"
            raise ConcordError("C205", f"{table}, row {row + 1}: there is no id", hint)
        one = found.setdefault(id_, _Found(row))
        for name, cell in zip(told, cells[len(columns) :], strict=True):
            if cell is not None and one.told.setdefault(name, cell) != cell:
                what = f"{table}, row {row + 1}: {name} {cell!r}, where series {id_!r} had {one.told[name]!r} before"
                raise ConcordError("C205", what, "rows of one id are one sample: give each series an id of its own")
        content = "\0".join(cell or "" for cell in cells[1 : len(columns)]).encode(errors="replace") + b"\n"
        one.size += len(content)
        one.digest.update(content)
    for one in found.values():
        yield entry_of(source, source.table, one.row, one.size, one.digest.hexdigest(), one.told)


def read_series(folder: Path, source: Source, entries: Sequence[Entry]) -> Iterator[tuple[Entry, Series]]:
    """Each series with its entry; ConcordError C206 for one that cannot be read."""
    for entry, series_TK in tried_series(folder, source, entries):
        if isinstance(series_TK, ConcordError):
            raise series_TK
        yield entry, series_TK


def tried_series(folder: Path, source: Source, entries: Sequence[Entry]) -> Iterator[tuple[Entry, Series | ConcordError]]:
    """Each series, or what is wrong with it. Rows may be in any order, so the numbers of all are in memory at once."""
    table = folder / source.table
    numbers_of: dict[str, array[float] | ConcordError] = {entry.id: array("d") for entry in entries}
    for row, (id_, time, *cells) in enumerate(rows(table, (source.id, source.time, *source.channels))):
        name = printable(id_ or "")
        numbers = numbers_of.get(name)
        if isinstance(numbers, array):
            try:
                numbers.extend((_seconds(time), *map(_number, cells)))
                if len(numbers) > MOST_VALUES:
                    raise ValueError(f"a series of more than {MOST_VALUES:,} values")
            except ValueError as error:
                numbers_of[name] = unreadable(f"{table}, row {row + 1}", error)
    for entry in entries:
        numbers = numbers_of.pop(entry.id)
        yield entry, numbers if isinstance(numbers, ConcordError) else _tried(folder / entry.place, source.channels, numbers)


def _tried(place: Path, channels: Sequence[str], numbers: array[float]) -> Series | ConcordError:
    try:
        return series_of(channels, np.frombuffer(numbers).reshape(-1, 1 + len(channels)))
    except ValueError as error:
        return unreadable(place, error)


def series_of(channels: Sequence[str], rows_TK: np.typing.NDArray[np.float64]) -> Series:
    """A series of as many times as there are rows, evenly spaced from the first to the last, linear between known values.

    Args:
        channels: their names.
        rows_TK: time, then the channels, in any order; a gap is NaN.

    Raises:
        ValueError: when there is no row, two have one time, or a channel has no value.
    """
    if not len(rows_TK):
        raise ValueError("there is no row")
    rows_TK = rows_TK[rows_TK[:, 0].argsort()]
    time_T = rows_TK[:, 0]
    if not np.diff(time_T).all():
        raise ValueError("two rows have the same time")
    even_T = np.linspace(time_T[0], time_T[-1], len(time_T))
    series_TK = np.empty((len(time_T), len(channels)), np.float32)
    for k, channel in enumerate(channels):
        known_T = ~np.isnan(rows_TK[:, 1 + k])
        if not known_T.any():
            raise ValueError(f"there is no value of {channel}")
        series_TK[:, k] = np.interp(even_T, time_T[known_T], rows_TK[known_T, 1 + k])
    return series_TK


def _seconds(cell: Cell) -> float:
    """A time as a number, or as ISO 8601 has it, without a zone in UTC."""
    if cell is None:
        raise ValueError("there is no time")
    try:
        time = float(cell)
    except ValueError:
        when = datetime.fromisoformat(cell)
        time = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    if not abs(time) <= LATEST:  # NaN too
        raise ValueError(f"time {cell!r} is none")
    return time


def _number(cell: Cell) -> float:
    """A value; NaN for a gap."""
    value = nan if cell is None else float(cell)
    if abs(value) > LARGEST:
        raise ValueError(f"{cell} is too large")
    return value
