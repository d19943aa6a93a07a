"""What the files of a folder tell of a graph, read once and in bounds, before it is sure to be one.

Legend: N nodes, F features of a modality, C columns of numbers, P pairs of nodes.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client_app.data.own.tables import Cell, column_names, rows
from client_app.data.own_graph.layout import Graph, GraphFolder
from client_app.files.matrix import MOST_VALUES, read_matrix
from client_app.files.unreadable import printable, unreadable
from concord.errors import ConcordError

MOST_NODES, MOST_PAIRS, MOST_STRANGERS = 2**21, 2**24, 100_000
STRANGER = -1  # in place of a node that the table of nodes does not have


@dataclass(frozen=True)
class GraphTables:
    """A row each node and each pair.

    Attributes:
        ids: of the N nodes, perhaps there twice; like what follows empty where nothing is told.
        labels: class of each node.
        splits: what is said that the node is for.
        x: per modality features [N, F], NaN where there are none and infinite where what is there is no number. From a NumPy
            file as many rows as that has.
        pairs: [P, 2], row of either end in the table of nodes, or `STRANGER`.
        strangers: such ends, with the row of their pair.
    """

    ids: tuple[str, ...]
    labels: tuple[str, ...]
    splits: tuple[str, ...]
    x: Mapping[str, NDArray[np.float32]]
    pairs: NDArray[np.int64]
    strangers: tuple[tuple[int, str], ...]

    def __len__(self) -> int:
        return len(self.ids)

    def present(self, modality: str) -> NDArray[np.bool_]:
        """Which rows [N] have a number of a modality."""
        return np.asarray(~np.isnan(self.x[modality]).all(axis=1))


def read_tables(place: GraphFolder) -> GraphTables:
    """All that the files of a folder tell.

    Raises:
        ConcordError: C205, when a file or a column is missing; C206 for a file that cannot be read, or holds too much.
    """
    for path in (place.nodes, place.edges, *(place.folder / file for file in place.graph.files.values())):
        if not path.is_file():
            raise ConcordError("C205", f"{path}: there is no such file", "correct its name in dataset.toml")
    told, in_columns = _read_nodes(place.nodes, place.graph)
    ids, labels, splits = zip(*told, strict=True) if told else ((), (), ())
    pairs, strangers = _read_pairs(place.edges, place.graph, ids)
    in_files = {modality: read_matrix(place.folder / file) for modality, file in place.graph.files.items()}
    named = tuple(place.graph.labels.get(label, label) for label in labels)
    return GraphTables(ids, named, splits, in_columns | in_files, pairs, strangers)


def _read_nodes(table: Path, graph: Graph) -> tuple[list[tuple[str, str, str]], dict[str, NDArray[np.float32]]]:
    """Id, label and split of each node, and its features from columns."""
    have = column_names(table)
    said = [f for f in ("id", "label", "split") if f == "id" or getattr(graph, f) in have or f in graph.model_fields_set]
    names = [name for columns in graph.columns.values() for name in columns]
    told: list[tuple[str, str, str]] = []
    values = array("f")
    for cells in rows(table, (*(getattr(graph, field) for field in said), *names)):
        about = dict(zip(said, map(_word, cells), strict=False))
        told.append((about["id"], about.get("label", ""), about.get("split", "")))
        values.extend(map(_number, cells[len(said) :]))
        if len(told) > MOST_NODES or len(values) > MOST_VALUES:
            raise unreadable(table, f"more than {MOST_NODES:,} nodes or {MOST_VALUES:,} numbers")
    value_NC = np.array(values, np.float32).reshape(len(told), len(names))
    ends = np.cumsum([len(columns) for columns in graph.columns.values()], dtype=int)
    return told, dict(zip(graph.columns, np.split(value_NC, ends[:-1], axis=1), strict=True)) if names else {}


def _read_pairs(table: Path, graph: Graph, ids: tuple[str, ...]) -> tuple[NDArray[np.int64], tuple[tuple[int, str], ...]]:
    row_of = {id_: row for row, id_ in reversed([*enumerate(ids)]) if id_}  # of an id that is there twice the first
    ends, strangers = array("q"), []
    for number, pair in enumerate(rows(table, (graph.source, graph.target))):
        for end in map(_word, pair):
            ends.append(row_of.get(end, STRANGER))
            if end not in row_of:
                strangers.append((number, end))
        if number >= MOST_PAIRS or len(strangers) > MOST_STRANGERS:
            why = f"more than {MOST_PAIRS:,} edges, or {MOST_STRANGERS:,} ends that {graph.nodes} does not have"
            raise unreadable(table, why)
    return np.array(ends, np.int64).reshape(-1, 2), tuple(strangers)


def _word(cell: Cell) -> str:
    return printable(cell or "")


def _number(cell: Cell) -> float:
    try:
        return math.nan if cell is None else float(cell)
    except ValueError:
        return math.inf
