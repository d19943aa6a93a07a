"""What is wrong with a folder of a graph, told all at once or, in a run, as its first error.

Legend: N nodes, F features, P pairs of nodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from client_app.data.own.check import Checked
from client_app.data.own.layout import DATASET
from client_app.data.own.problem import Problem
from client_app.data.own_graph.layout import GraphFolder, read_graph_folder
from client_app.data.own_graph.splits import SAID
from client_app.data.own_graph.tables import STRANGER, GraphTables, read_tables
from concord.anchors import AnchorSet
from concord.errors import ConcordError

CODES = {  # of the error that a run meets
    **{"empty": "C203", "id": "C205", "split": "C205", "edge": "C205", "rows": "C205", "features": "C206"},
    **{"label": "C207", "modality": "C302", "anchors": "C303"},
}


def check_graph(folder: Path, anchors: AnchorSet | None) -> Checked:
    """Everything that there is to say about the folder of one party; anchors tell classes and features."""
    try:
        place = read_graph_folder(folder)
        tables = read_tables(place)
    except ConcordError as error:
        return Checked(folder.name, {}, {}, (Problem(str(folder), "error", "folder", error.message, error.hint),))
    present = {modality: np.flatnonzero(tables.present(modality)) for modality in tables.x}
    labels = {m: len({tables.labels[n] for n in has.tolist() if n < len(tables)} - {""}) for m, has in present.items()}
    return Checked(place.name, {m: len(has) for m, has in present.items()}, labels, tuple(_problems(place, tables, anchors)))


def read_sound(place: GraphFolder, anchors: AnchorSet | None = None) -> GraphTables:
    """The tables of a folder without an error; else its first one, as ConcordError C203 to C207, C302 or C303."""
    tables = read_tables(place)
    for problem in _problems(place, tables, anchors):
        if problem.severity == "error":
            raise ConcordError(CODES[problem.what], f"{problem.place}: {problem.message}", problem.hint)
    return tables


def _problems(place: GraphFolder, tables: GraphTables, anchors: AnchorSet | None) -> Iterator[Problem]:
    """What is wrong with a graph in itself and beside those of other parties, and what is to be known of it."""
    if not len(tables):
        yield Problem(str(place.nodes), "error", "empty", "there is no node", "give it a row a node")
    yield from _about_ids(place, tables)
    yield from _about_splits(place, tables)
    for modality in tables.x:
        yield from _about_features(place, tables, modality)
    yield from _about_edges(place, tables)
    if anchors is not None:
        yield from _misfits(place, tables, anchors)
    yield from _notes(place, tables)


def _misfits(place: GraphFolder, tables: GraphTables, anchors: AnchorSet) -> Iterator[Problem]:
    """Where a graph does not go together with those of other parties."""
    if not anchors.of_graphs:
        hint = "build them from graphs with `concord anchors build --graph`"
        yield Problem(str(place.folder), "error", "anchors", f"the anchors {anchors.digest[:12]} are of samples", hint)
        return
    known = set(anchors.concepts)
    for n, label in enumerate(tables.labels):
        if label and label not in known:
            hint = f"the concepts are {', '.join(anchors.concepts[:20])}; `labels` in {DATASET} says what a label is called there"
            yield Problem(_row(place.nodes, n), "error", "label", f"label {label!r} is no concept of the anchors", hint)
    for modality, x_NF in tables.x.items():
        samples = anchors.modalities.get(modality)
        if samples is None:
            what = f"the anchors have no modality {modality!r} (they have: {', '.join(anchors.modalities)})"
            hint = "leave it out, or build the anchors with it"
            yield Problem(str(place.folder), "error", "modality", what, hint)
        elif samples.x.shape[1] != x_NF.shape[1]:
            what = f"{modality} has {x_NF.shape[1]} features, the anchors have {samples.x.shape[1]}"
            yield Problem(str(place.folder), "error", "anchors", what, "all parties have the same features in the same order")


def _about_ids(place: GraphFolder, tables: GraphTables) -> Iterator[Problem]:
    first: dict[str, int] = {}
    hint = "give each node an id of its own"
    for n, id_ in enumerate(tables.ids):
        if not id_:
            yield Problem(_row(place.nodes, n), "error", "id", "has no id", hint)
        elif (other := first.setdefault(id_, n)) != n:
            yield Problem(_row(place.nodes, n), "error", "id", f"has the id {id_!r}, as row {other + 1} has", hint)


def _about_splits(place: GraphFolder, tables: GraphTables) -> Iterator[Problem]:
    for n, split in enumerate(tables.splits):
        if split and split.lower() not in SAID:
            hint = "write train, validation, test or none"
            yield Problem(_row(place.nodes, n), "error", "split", f"split {split!r}", hint)


def _about_features(place: GraphFolder, tables: GraphTables, modality: str) -> Iterator[Problem]:
    """Rows that a file lacks, and nodes with a part of their numbers."""
    x_NF, said = tables.x[modality], place.graph.features[modality]
    table = place.folder / said if isinstance(said, str) else place.nodes
    if len(x_NF) != len(tables):
        what = f"rows: {len(x_NF):,}, and {place.graph.nodes} has {len(tables):,}"
        yield Problem(str(table), "error", "rows", what, "give it a row each node, in the order of that table")
        return
    if len(tables) and not tables.present(modality).any():
        yield Problem(str(table), "error", "features", f"no node has {modality}", f"take it out of {DATASET}")
    finite_NF = np.isfinite(x_NF)
    for n in np.flatnonzero(tables.present(modality) & ~finite_NF.all(1)).tolist():
        f = int(np.argmin(finite_NF[n]))
        column = f"number {f + 1}" if isinstance(said, str) else said[f]
        hint = "a node has all numbers of a modality, or lacks it and has none"
        yield Problem(_row(table, n), "error", "features", f"{modality}: {column} is no finite number", hint)


def _about_edges(place: GraphFolder, tables: GraphTables) -> Iterator[Problem]:
    for number, id_ in tables.strangers:
        what = f"no node of {place.graph.nodes} has the id {id_!r}" if id_ else "an end is empty"
        hint = "add the node, or leave the edge out: edges to nodes of other parties are not seen"
        yield Problem(_row(place.edges, number), "error", "edge", what, hint)


def _notes(place: GraphFolder, tables: GraphTables) -> Iterator[Problem]:
    """What may be meant so, counted."""
    pair_P2 = np.sort(tables.pairs[(tables.pairs != STRANGER).all(1)], axis=1)
    proper_P2 = pair_P2[pair_P2[:, 0] != pair_P2[:, 1]]
    distinct = len(np.unique(proper_P2[:, 0] * len(tables) + proper_P2[:, 1]))
    bare_N = np.ones(len(tables), bool)
    for has_N in map(tables.present, tables.x):
        if len(has_N) == len(tables):
            bare_N &= ~has_N
    counts = (
        ("unlabelled", place.nodes, tables.labels.count(""), "nodes have no label", "they are learnt from without one"),
        ("bare", place.nodes, int(bare_N.sum()), "nodes have no modality", "they are neither learnt from nor tested"),
        ("isolated", place.nodes, len(tables) - len(np.unique(proper_P2)), "nodes have no edge", "they are seen by themselves"),
        ("loop", place.edges, len(pair_P2) - len(proper_P2), "edges lead from a node to itself", "they are left out"),
        ("duplicate", place.edges, len(proper_P2) - distinct, "edges are there twice", "each counts once"),
    )
    for what, path, count, message, hint in counts:
        if count:
            whole = len(tables) if path == place.nodes else len(tables.pairs)
            yield Problem(str(path), "note", what, f"{count:,} of {whole:,} {message}", f"nothing, if that is meant: {hint}")


def _row(table: Path, number: int) -> str:
    """Where a person finds it; rows count from the first below the header, as 1."""
    return f"{table}, row {number + 1}"
