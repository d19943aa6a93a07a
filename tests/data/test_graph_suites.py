"""Dealing out a graph: communities, modalities that parties lack, drift, one party that holds all, and its folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from made_up_graph import NODES, write_texas
from rich.console import Console

from client_app.data.communities import deal_communities
from client_app.data.drift import LARGEST, SMALLEST, encode, rotate
from client_app.data.federation import Federation, build_federation
from client_app.data.graph import TEST, TRAIN, VALIDATION, NodeGraph, both_directions
from client_app.data.graph_file import graph_from_bytes, graph_to_bytes
from client_app.data.node_folder import Origin, load_node, save_node
from concord.anchors import load_anchors
from concord.commands.inspect import write_anchors
from concord.config import parse_config
from concord.errors import ConcordError

PARTS = (TRAIN, VALIDATION, TEST)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_texas(tmp_path_factory.mktemp("packs"))


def texas(data: Path, words: str = "", *, seed: int = 0, pooled: bool = False) -> Federation:
    return build_federation("heterophily", data, seed, "+".join(filter(None, ("graph=texas", words))), pooled)


def test_edges_are_there_in_both_directions_once() -> None:
    edges = both_directions(torch.tensor([[0, 1], [1, 0], [2, 2], [1, 2]]))
    assert edges.T.tolist() == [[0, 1], [1, 0], [1, 2], [2, 1]]


def test_communities_are_dealt_out_whole() -> None:
    cliques = [(20 * c + i, 20 * c + j) for c in range(6) for i in range(20) for j in range(i)]
    bridges = [(20 * c, 20 * c + 20) for c in range(5)]
    edges = both_directions(torch.tensor([*cliques, *bridges]))
    held = deal_communities(edges, 120, 3, seed=1)
    assert [len(own) for own in held] == [40, 40, 40]
    assert torch.cat(held).sort().values.tolist() == list(range(120))
    assert all(len({node // 20 for node in own.tolist()}) == 2 for own in held)
    assert [own.tolist() for own in held] == [own.tolist() for own in deal_communities(edges, 120, 3, seed=1)]


def test_where_there_are_few_communities_they_are_cut() -> None:
    clique = both_directions(torch.tensor([(i, j) for i in range(9) for j in range(i)]))
    held = deal_communities(clique, 9, 4, seed=0)
    assert sorted(len(own) for own in held) == [2, 2, 2, 3]


def test_parties_share_out_all_nodes_and_lose_the_edges_between_them(data: Path) -> None:
    parties, (whole,) = texas(data).graphs, texas(data, pooled=True).graphs
    assert len(parties) == 3
    assert sorted(i for party in parties for i in party.ids) == sorted(whole.ids)
    assert len(whole) == NODES
    inside = sum(party.edges.shape[1] for party in parties)
    assert 0 < inside < whole.edges.shape[1]
    for part in PARTS:
        assert sum(len(party.parts[part]) for party in parties) == len(whole.parts[part])
    place = {name: i for i, name in enumerate(whole.ids)}
    known = {tuple(edge) for edge in whole.edges.T.tolist()}
    for party in parties:
        rows = torch.tensor([place[i] for i in party.ids])
        assert torch.equal(party.x["features"], whole.x["features"][rows])
        assert torch.equal(party.y, whole.y[rows])
        assert {tuple(edge) for edge in rows[party.edges].T.tolist()} <= known
        for part in PARTS:
            assert set(rows[party.parts[part]].tolist()) <= set(whole.parts[part].tolist())


def test_the_seed_chooses_the_split_and_the_parties(data: Path) -> None:
    first, second = (texas(data, seed=seed, pooled=True).graphs[0] for seed in (0, 1))
    assert first.parts[TEST].tolist() != second.parts[TEST].tolist()
    assert first.parts[TEST].tolist() == texas(data, seed=10, pooled=True).graphs[0].parts[TEST].tolist()
    assert [p.ids for p in texas(data, seed=0).graphs] == [p.ids for p in texas(data, seed=0).graphs]
    assert texas(data, seed=0).anchors.digest == texas(data, seed=1).anchors.digest


def test_a_rotation_keeps_cosines_within_a_party_and_not_between(data: Path) -> None:
    x_NF = torch.randn(6, 21)
    turned_NF = rotate(x_NF, 1, "a")
    torch.testing.assert_close(turned_NF @ turned_NF.T, x_NF @ x_NF.T, rtol=1e-4, atol=1e-4)
    assert torch.equal(turned_NF, rotate(x_NF, 1, "a"))
    other_NF = rotate(x_NF, 1, "b")
    assert float(torch.cosine_similarity(turned_NF, other_NF).abs().max()) < 0.9
    plain, drifted = texas(data).graphs[0], texas(data, "drift=rotation").graphs[0]
    assert plain.ids == drifted.ids
    assert not torch.allclose(plain.x["features"], drifted.x["features"])


def test_each_party_has_an_encoder_of_its_own(data: Path) -> None:
    x_NF = torch.randn(400, 300)
    seen_NG = encode(x_NF, 1, "a")
    assert SMALLEST <= seen_NG.shape[1] <= LARGEST
    assert bool((seen_NG >= 0).all())
    assert float(seen_NG.square().sum() / x_NF.square().sum()) == pytest.approx(1, abs=0.1)
    federation = texas(data, "drift=encoder")
    assert len({party.x["features"].shape[1] for party in federation.graphs}) > 1
    assert federation.anchors.modalities["features"].x.shape == (0, 0)
    assert texas(data, "drift=encoder", pooled=True).graphs[0].x["features"].shape[1] == 1703


def test_a_party_without_a_modality_and_one_that_holds_all(worldgraph: Path) -> None:
    federation = build_federation("world", worldgraph, 0, "missing=0.5")
    assert len({party.modalities for party in federation.graphs}) > 1
    (whole,) = build_federation("world", worldgraph, 0, "missing=0.5", True).graphs
    held = {i: party.modalities for party in federation.graphs for i in party.ids}
    for m, has in whole.present.items():
        assert not any(bool(mark) and m not in held[i] for i, mark in zip(whole.ids, has, strict=True))
        assert not whole.x[m][~has].any()


@pytest.mark.parametrize(("graph", "nodes", "edges", "tests"), [("cora", 2708, 5278, 1000), ("citeseer", 3327, 4552, 1000)])
def test_citation_graphs_are_as_published(graph: str, nodes: int, edges: int, tests: int, planetoid: Path) -> None:
    (whole,) = build_federation("citation", planetoid, 0, f"graph={graph}", True).graphs
    assert (len(whole), whole.edges.shape[1], len(whole.parts[TEST])) == (nodes, 2 * edges, tests)
    assert torch.bincount(whole.y[whole.parts[TRAIN]]).tolist() == [20] * int(whole.y.max() + 1)
    sums = whole.x["words"].sum(1)
    torch.testing.assert_close(sums[sums > 0], torch.ones(int((sums > 0).sum())))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("graph=oregon", "has no graph 'oregon'"),
        ("drift=much", "no drift 'much'"),
        ("missing=0.5", "missing makes no sense here"),
        ("skew=0.5", "skew makes no sense here"),
    ],
)
def test_a_scenario_that_the_suite_does_not_have(words: str, told: str, data: Path) -> None:
    with pytest.raises(ConcordError, match=f"C204.*{told}"):
        build_federation("heterophily", data, 0, words)


def test_only_the_files_of_the_graph_are_needed(data: Path) -> None:
    with pytest.raises(ConcordError, match=r"C201(?s:.)*wisconsin\.npz"):
        build_federation("heterophily", data, 0, "graph=wisconsin")


def test_samples_do_not_drift() -> None:
    with pytest.raises(ConcordError, match="drift makes no sense here"):
        build_federation("demo", None, 0, "drift=rotation")


# A party's folder.


def same(a: NodeGraph, b: NodeGraph) -> bool:
    return (
        (a.name, a.ids, a.modalities) == (b.name, b.ids, b.modalities)
        and all(torch.equal(a.x[m], b.x[m]) and torch.equal(a.present[m], b.present[m]) for m in a.modalities)
        and torch.equal(a.y, b.y)
        and torch.equal(a.edges, b.edges)
        and all(torch.equal(a.parts[p], b.parts[p]) for p in PARTS)
    )


def test_a_party_is_dealt_to_a_folder_and_read_back(data: Path, tmp_path: Path) -> None:
    federation = texas(data, "drift=rotation")
    party, origin = federation.graphs[1], Origin("heterophily", 0, "graph=texas+drift=rotation")
    assert save_node(tmp_path / "n", party, federation.anchors, origin)
    assert not save_node(tmp_path / "n", party, federation.anchors, origin)
    config = parse_config({"method": "stage", "suite": "heterophily", "scenario": "graph=texas+drift=rotation"})
    read, anchors = load_node(tmp_path / "n", config, pooled=False)
    assert isinstance(read, NodeGraph)
    assert same(read, party)
    assert anchors.digest == federation.anchors.digest
    (tmp_path / "n" / "graph.safetensors").write_bytes(b"nothing")
    with pytest.raises(ConcordError, match=r"C205 .*graph\.safetensors"):
        load_node(tmp_path / "n", config, pooled=False)


def test_a_server_without_data_gets_the_anchors_of_the_graph(data: Path, tmp_path: Path) -> None:
    words = "graph=texas+drift=encoder"
    write_anchors(tmp_path, "heterophily", words, data, 0, Console(quiet=True))
    anchors = load_anchors(tmp_path)
    assert anchors.digest == texas(data, "drift=encoder").anchors.digest != texas(data).anchors.digest


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"y": torch.zeros(3)}, "labels are float32"),
        ({"edges": torch.full((2, 1), 10_000)}, "edges are int64"),
        ({"edges": torch.zeros(3, 2, dtype=torch.int64)}, "edges are int64"),
        ({"x": {}}, "features of features are float32"),
        ({"present": {"features": torch.ones(61)}}, "marks of features are float32"),
        ({"parts": {TRAIN: torch.tensor([0, 0]), VALIDATION: torch.tensor([1]), TEST: torch.tensor([2])}}, "part train"),
        ({"parts": {TRAIN: torch.tensor([0]), VALIDATION: torch.tensor([-1]), TEST: torch.tensor([2])}}, "part validation"),
    ],
)
def test_a_file_that_is_no_graph_is_refused(change: dict[str, object], told: str, data: Path) -> None:
    party = texas(data).graphs[0]
    if "x" in change:
        change = {"x": {"features": torch.full((len(party), 4), torch.nan)}}
    graph = replace(party, **change)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=told):
        graph_from_bytes("n", graph_to_bytes(graph))
