"""Rows of tables for the encoder of their columns.

Legend: K columns.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from client_app.data.preparation.preparation import Preparation
from client_app.data.preparation.raw import Row
from client_app.encoders.table import BYTES, Column, columns_of
from concord.errors import ConcordError

LARGEST = 1e30  # numbers of float32, and twice of it is one still


def table_preparation(columns: str) -> Preparation:
    """The preparation for rows with these columns; ConcordError C204 for what are none."""
    return Preparation("table", partial(prepare, columns_of(columns)))


def prepare(columns: Sequence[Column], row: Row) -> Tensor:
    """Cells [K, 2]: a number, or the code of a name, and whether it is known. Columns that are not asked for are not looked at.

    Raises:
        ConcordError: C206, when a cell of a column of numbers is none, or no cell is known.
    """
    cells = [_cell(column, row.get(column.name)) for column in columns]
    if not any(known for _, known in cells):
        names = ", ".join(column.name for column in columns[:10])
        raise ConcordError("C206", f"a row without a value in any of {names}", "leave it out, or name its columns so")
    return torch.tensor(cells)


def number_in(cell: str | float) -> float | None:
    """The number that a cell is, NaN for a gap; None where it is none."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isnan(value) or abs(value) <= LARGEST else None


def _cell(column: Column, cell: str | float | None) -> tuple[float, float]:
    if cell is None or cell == "":
        return 0.0, 0.0
    if column.of_names:
        return _code(column.name, str(cell)), 1.0
    value = number_in(cell)
    if value is None:
        hint = "write a number, or leave the cell empty; `concord data check FOLDER --anchors ANCHORS` tells of all rows"
        raise ConcordError("C206", f"{column.name}: {cell!r} is no number", hint)
    return (0.0, 0.0) if math.isnan(value) else (value, 1.0)


def _code(column: str, name: str) -> float:
    """The same for one name everywhere, whatever its case."""
    digest = hashlib.sha256(f"{column}\0{name.strip().casefold()}".encode(errors="replace")).digest()
    return float(int.from_bytes(digest[:BYTES]))
