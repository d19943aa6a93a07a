"""Tables of a user: CSV, TSV, JSON lines and Parquet, read in batches, every cell as text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from client_app.files.unreadable import unreadable
from concord.errors import ConcordError

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
BLOCK = 2**22  # bytes that are parsed at once
BATCH = 4096  # rows
MOST_ROWS = 20_000_000
MOST_LINE = 2**24  # characters of a line of JSON

Cell = str | None


def column_names(path: Path) -> tuple[str, ...]:
    """The columns of a table, of JSON lines those of the first; ConcordError C206 where it cannot be read."""
    try:
        if path.suffix == ".jsonl":
            return tuple(map(str, next(_objects(path), {})))
        if path.suffix == ".parquet":
            return tuple(_parquet(path).schema_arrow.names)
        return tuple(_csv(path).schema.names)
    except (OSError, ValueError) as error:  # pyarrow's errors are of these
        raise unreadable(path, error) from error


def rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[Cell, ...]]:
    """The cells of each row in `columns`, in order; None for an empty one.

    Raises:
        ConcordError: C206, when the table cannot be read or has too many rows; C205, when a column is not there.
    """
    have = column_names(path)
    if len(set(have)) < len(have):
        raise unreadable(path, "two columns have one name")
    if missing := [name for name in columns if name not in have]:
        hint = "name the columns in dataset.toml"
        raise ConcordError("C205", f"{path}: no column is called {missing[0]} (there are: {', '.join(have)})", hint)
    try:
        for count, row in enumerate(_cells(path, columns)):
            if count == MOST_ROWS:
                raise ValueError(f"more than {MOST_ROWS:,} rows")
            yield row
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error


def _cells(path: Path, columns: Sequence[str]) -> Iterator[tuple[Cell, ...]]:
    if path.suffix == ".jsonl":
        for line in _objects(path):
            yield tuple(_text(line.get(name)) for name in columns)
        return
    once = list(dict.fromkeys(columns))
    for batch in _parquet(path).iter_batches(BATCH, columns=once) if path.suffix == ".parquet" else _csv(path, once):
        cells = {name: [_text(value) for value in batch.column(name).to_pylist()] for name in once}
        yield from zip(*(cells[name] for name in columns), strict=True)


def _text(value: object) -> Cell:
    return None if value is None or value == "" else str(value)


def _parquet(path: Path) -> Any:
    import pyarrow.parquet  # a twentieth of a second, which data without tables need not wait for

    return pyarrow.parquet.ParquetFile(path)


def _csv(path: Path, columns: Sequence[str] = ()) -> Any:
    """A reader of batches, of these columns as text; all columns, where there is none."""
    import pyarrow.csv

    return pyarrow.csv.open_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(block_size=BLOCK, use_threads=False),
        parse_options=pyarrow.csv.ParseOptions(delimiter="\t" if path.suffix == ".tsv" else ",", newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(columns, pyarrow.string()), include_columns=columns, strings_can_be_null=False
        ),
    )


def _objects(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as stream:
        number = 0
        while line := stream.readline(MOST_LINE):
            number += 1
            value = json.loads(line)
            if not isinstance(value, dict):
                raise ValueError(f"line {number} is no object")
            yield value
