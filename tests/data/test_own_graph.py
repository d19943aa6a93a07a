"""A folder of tables becomes a party's part of a graph: what it holds, what its nodes are for, and what is refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from flwr.app import Context, RecordDict
from own_graph import GRAPH, LABELS, WIDTHS, write_graph

from client_app.app import open_node
from client_app.data.federation import federation_of
from client_app.data.graph import TEST, TRAIN, VALIDATION, NodeGraph
from client_app.data.graph_file import graph_from_bytes, graph_to_bytes
from client_app.data.own_graph import tables
from client_app.data.own_graph.anchors import graph_anchors
from client_app.data.own_graph.federation import side_by_side
from client_app.data.own_graph.node import load_own_graph
from client_app.data.own_graph.splits import part_of
from client_app.files.matrix import read_matrix
from client_app.graphs.node import GraphNode
from concord.anchors import AnchorSet, anchors_of_graph, load_anchors, save_anchors
from concord.config import RunConfig
from concord.errors import ConcordError
from concord.own import check_encoders
from concord.samples import NO_LABEL, Samples

ANCHORS = anchors_of_graph(LABELS, WIDTHS)


@pytest.fixture
def north(tmp_path: Path) -> Path:
    return write_graph(tmp_path / "north")


def load(folder: Path, scenario: str = "labelled", anchors: AnchorSet = ANCHORS) -> NodeGraph:
    return load_own_graph(folder, RunConfig(suite="own-graph", scenario=scenario), anchors)


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def papers(folder: Path) -> list[dict[str, str]]:
    with (folder / "papers.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_a_folder_becomes_what_its_tables_say(north: Path) -> None:
    graph, rows, text_NF = load(north), papers(north), np.load(north / "abstracts.npy")
    assert (graph.name, graph.ids) == ("north", tuple(f"north/{row['id']}" for row in rows))
    assert graph.y.tolist() == [LABELS.index(row["label"]) if row["label"] else NO_LABEL for row in rows]
    assert graph.present["numbers"].tolist() == [bool(row["year"]) for row in rows]
    assert graph.present["text"].tolist() == [bool(n % 5) for n in range(40)]
    for n, row in enumerate(rows):
        numbers = [float(row[name] or 0) for name in ("year", "pages")]
        assert graph.x["numbers"][n].tolist() == pytest.approx(numbers)
        assert graph.x["text"][n].tolist() == pytest.approx(np.nan_to_num(text_NF[n]).tolist())
    with (north / "citations.csv").open() as stream:
        pairs = {frozenset((int(row["source"][1:]), int(row["target"][1:]))) for row in csv.DictReader(stream)}
    assert {frozenset(pair) for pair in graph.edges.T.tolist()} == pairs
    assert graph.edges.shape == (2, 2 * len(pairs))
    again = graph_from_bytes("north", graph_to_bytes(graph))  # which checks that it is a graph
    assert torch.equal(again.edges, graph.edges)


def test_other_tables_and_names_of_columns_give_the_same_graph(north: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    names = {"id": "key", "label": "field", "year": "year", "pages": "pages"}
    cells = [{names[k]: {"2": "two"}.get(v, v) or None for k, v in row.items()} for row in papers(north)]
    (other / "papers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in cells))
    with (north / "citations.csv").open() as stream:
        edges = list(csv.DictReader(stream))
    table = {"from": [row["target"] for row in edges] * 2, "to": [row["source"] for row in edges] * 2}
    pyarrow.parquet.write_table(pa.table(table), other / "citations.parquet")
    np.save(other / "abstracts.npy", np.asfortranarray(np.load(north / "abstracts.npy")))
    (other / "dataset.toml").write_text(
        'node = "north"\n'
        + GRAPH.replace(
            'nodes = "papers.csv"\nedges = "citations.csv"',
            'nodes = "papers.jsonl"\nedges = "citations.parquet"\nid = "key"\nlabel = "field"\nsource = "from"\ntarget = "to"\n'
            'labels = {"two" = "2"}',
        )
    )
    one, two = load(north), load(other)
    assert graph_to_bytes(one) == graph_to_bytes(two)


def test_a_node_is_for_the_same_whoever_else_there_is(north: Path, tmp_path: Path) -> None:
    more, fewer = load(north), load(write_graph(tmp_path / "fewer", 30, seed=1))
    for part, index in fewer.parts.items():
        assert index.tolist() == [n for n in more.parts[part].tolist() if n < 30]


def test_three_fifths_are_learnt_from_and_a_fifth_is_tested() -> None:
    parts = [part_of(str(i), "", 0) for i in range(4000)]
    assert [round(parts.count(part) / 4000, 1) for part in (TRAIN, VALIDATION, TEST)] == [0.6, 0.2, 0.2]
    assert parts != [part_of(str(i), "", 1) for i in range(4000)]


def test_a_split_that_is_told_counts_first(north: Path) -> None:
    said = ["train", "none", "validation", "test", ""]
    rows = papers(north)
    text = "\n".join(f"{','.join(row.values())},{said[n % 5]}" for n, row in enumerate(rows))
    (north / "papers.csv").write_text(f"id,label,year,pages,split\n{text}\n")
    parts = {part: set(index.tolist()) for part, index in load(north).parts.items()}
    usable = {n for n, row in enumerate(rows) if row["label"] and (row["year"] or n % 5)}
    for place, part in enumerate((TRAIN, None, VALIDATION, TEST)):
        mine = {n for n in usable if n % 5 == place}
        assert all(mine <= index if name == part else not mine & index for name, index in parts.items())
    assert set().union(*parts.values()) == {n for n in usable if n % 5 != 1}


def test_tasks_need_no_labels(north: Path) -> None:
    lines = [f"{row['id']},{row['year']},{row['pages']}\n" for row in papers(north)]
    (north / "papers.csv").write_text("id,year,pages\n" + "".join(lines))
    unlabelled = anchors_of_graph((), WIDTHS)
    with pytest.raises(ConcordError, match=r"C204.*name no class"):
        load(north, anchors=unlabelled)
    links, views = load(north, "task=links", unlabelled), load(north, "task=retrieval", unlabelled)
    assert not any(map(len, links.parts.values()))
    assert links.edges.shape[1] + 2 * sum(map(len, links.questions.values())) == views.edges.shape[1]
    assert len(views.questions[TEST]) == len(views.parts[TEST]) > 0
    with pytest.raises(ConcordError, match=r"C204.*one modality"):
        load(north, "task=retrieval", anchors_of_graph((), {"text": 6}))


@pytest.mark.parametrize(
    "scenario", ["drift=rotation", "missing=0.5", "graph=cora", "unlabelled=text", "skew=1.0", "local-heads"]
)
def test_what_a_suite_deals_is_refused(scenario: str, north: Path) -> None:
    with pytest.raises(ConcordError, match="C204"):
        load(north, scenario)


WRONG = {
    "an id that is twice": ("papers.csv", "p3,", "p2,", "C205.*row 4.*id 'p2', as row 3"),
    "no id": ("papers.csv", "p3,", ",", "C205.*row 4: has no id"),
    "a label that nobody has": ("papers.csv", "p1,10,", "p1,11,", "C207.*row 2.*'11'"),
    "a part of the numbers": ("papers.csv", "p1,10,", "p1,10,,", "C20[56]"),
    "a word for a number": ("papers.csv", "p1,10,", "p1,10,x", "C206.*row 2: numbers: year is no finite number"),
    "an edge to a stranger": ("citations.csv", "p0,p3", "p0,p99", "C205.*no node of papers.csv has the id 'p99'"),
    "an edge to nothing": ("citations.csv", "p0,p3", "p0,", "C205.*an end is empty"),
    "no such column": ("citations.csv", "source", "start", "C205.*no column is called source"),
    "no such file": ("dataset.toml", "citations.csv", "cites.csv", "C205.*cites.csv: there is no such file"),
    "no such features": ("dataset.toml", "abstracts.npy", "papers.csv", "C206.*papers.csv"),
    "an unknown key": ("dataset.toml", "[graph]", "[graph]\nnode = 'x'", "C205.*graph.node"),
    "no features": ("dataset.toml", '["year", "pages"]', "[]", "C205.*features.numbers"),
    "a column twice": ("dataset.toml", '"pages"', '"year"', "C205.*twice in features.numbers"),
    "a modality that nobody knows": ("dataset.toml", "text =", "texts =", "C302.*'texts'"),
    "too few features": ("dataset.toml", ', "pages"', "", "C303.*numbers has 1 features, the anchors have 2"),
    "a split that there is not": ("dataset.toml", "[graph]", "[graph]\nsplit = 'year'", "C205.*split"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_told_where_it_is(case: str, north: Path) -> None:
    file, old, new, told = WRONG[case]
    change(north / file, old, new)
    with pytest.raises(ConcordError, match=told):
        load(north)


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.zeros((39, 6)), "C205.*rows: 39, and papers.csv has 40"),
        (np.zeros((40, 7)), "C303.*text has 7 features"),
        (np.full((40, 6), np.nan), "C206.*no node has text"),
        (np.full((40, 6), 1e300), "C206.*row 1: text: number 1 is no finite number"),
        (np.zeros(40), "C206"),
        (np.zeros((40, 6), complex), "C206.*complex128"),
        (np.full((40, 6), None), "C206"),
    ],
)
def test_files_of_features_are_hostile(array: np.ndarray, told: str, north: Path) -> None:  # type: ignore[type-arg]
    np.save(north / "abstracts.npy", array)
    with pytest.raises(ConcordError, match=told):
        load(north)


def test_what_a_head_promises_is_looked_at_before_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    for shape in ("(1000000, 1000000)", "(10, 6)", "(0, 6)", "(6, -1)"):
        head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
        path.write_bytes(b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode() + bytes(100))
        with pytest.raises(ConcordError, match=r"C206.*x\.npy"):
            read_matrix(path)


@pytest.mark.parametrize(("bound", "most"), [("MOST_NODES", 39), ("MOST_VALUES", 79), ("MOST_PAIRS", 20), ("MOST_STRANGERS", 0)])
def test_tables_have_bounds(bound: str, most: int, north: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change(north / "citations.csv", "p0,p3", "p0,p99")
    monkeypatch.setattr(tables, bound, most)
    with pytest.raises(ConcordError, match=r"C206.*more than"):
        load(north)


def test_anchors_are_the_union_of_folders_that_agree(north: Path, tmp_path: Path) -> None:
    south = write_graph(tmp_path / "south", seed=1)
    change(south / "papers.csv", "p1,10,", "p1,9,")
    change(south / "dataset.toml", 'text = "abstracts.npy"', 'words = "abstracts.npy"')
    both = graph_anchors([north, south])
    assert both.concepts == ("2", "9", "10", "30")
    assert {m: samples.x.shape for m, samples in both.modalities.items()} == {"numbers": (0, 2), "text": (0, 6), "words": (0, 6)}
    assert graph_anchors([tmp_path]).digest == both.digest
    save_anchors(both, tmp_path / "anchors")
    assert load_anchors(tmp_path / "anchors").digest == both.digest
    assert load_anchors(tmp_path / "anchors").of_graphs
    change(south / "dataset.toml", 'words = "abstracts.npy"', 'text = ["year"]')
    with pytest.raises(ConcordError, match=r"C205.*text has 6 features in .*north, 1 in .*south"):
        graph_anchors([north, south])
    change(south / "dataset.toml", "text =", "'a.b' =")
    with pytest.raises(ConcordError, match=r"C102.*'a\.b'"):
        graph_anchors([south])


def test_anchors_of_samples_and_of_graphs_are_not_mistaken(north: Path) -> None:
    of_samples = AnchorSet(LABELS, {"text": Samples(torch.zeros(1, 6), torch.zeros(1, dtype=torch.int64), ("a",))})
    with pytest.raises(ConcordError, match=r"C303.*own-graph is of a graph, the anchors .* of samples"):
        load(north, anchors=of_samples)
    with pytest.raises(ConcordError, match=r"C303.*own is of samples, the anchors .* of a graph"):
        check_encoders(RunConfig(suite="own"), ANCHORS)
    with pytest.raises(ConcordError, match=r"C302.*suite own-graph has no anchors"):
        federation_of(RunConfig(suite="own-graph", data=str(north)))


def test_parties_side_by_side_keep_what_each_is_asked(north: Path, tmp_path: Path) -> None:
    south = write_graph(tmp_path / "south", 30, seed=1)
    change(south / "dataset.toml", 'text = "abstracts.npy"\n', "")
    for scenario in ("labelled", "task=links"):
        parties = [load(north, scenario), load(south, scenario)]
        whole = side_by_side(parties)
        assert whole.ids == parties[0].ids + parties[1].ids
        assert whole.sizes == {"numbers": sum(p.sizes["numbers"] for p in parties), "text": parties[0].sizes["text"]}
        for start, party in zip((0, 40), parties, strict=True):
            part = whole.of_nodes(party.name, torch.arange(start, start + len(party)))
            assert torch.equal(part.y, party.y)
            assert sorted(part.edges.T.tolist()) == sorted(party.edges.T.tolist())
            assert all(torch.equal(part.x[m], x) for m, x in party.x.items())
            assert {name: index.tolist() for name, index in part.parts.items()} == {n: i.tolist() for n, i in party.parts.items()}
        assert whole.edges.shape[1] == sum(party.edges.shape[1] for party in parties)
        asked = {split: len(rows) for split, rows in whole.questions.items()}
        assert asked == {split: sum(len(party.questions[split]) for party in parties) for split in parties[0].questions}


def test_a_supernode_names_its_own_folder(north: Path, tmp_path: Path) -> None:
    save_anchors(ANCHORS, tmp_path / "anchors")
    config = RunConfig(suite="own-graph", method="stage", run_folder=str(tmp_path / "run"), device="cpu")

    def node(**about: str) -> GraphNode:
        opened = open_node(Context(0, 1, {"data": str(north), **about}, RecordDict(), dict(config.flat())))
        assert isinstance(opened, GraphNode)
        return opened

    census = node(anchors=str(tmp_path / "anchors")).census()
    assert {h.modality: (h.examples, h.encoder) for h in census.holdings} == {
        "numbers": (34, "features-2"),
        "text": (32, "features-6"),
    }
    assert census.anchor_digest == ANCHORS.digest
