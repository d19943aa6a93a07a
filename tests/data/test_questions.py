"""Questions about graphs: which edges are held out, what is asked, and that all parties together are asked the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from made_up_graph import write_texas

from client_app.data.federation import build_federation
from client_app.data.graph import TEST, TRAIN, VALIDATION, NodeGraph, both_directions
from client_app.data.graph_file import graph_from_bytes, graph_to_bytes
from client_app.data.questions import NO_NODE, WRONG, asked_about, hold_out_links
from concord.errors import ConcordError


def ring(nodes: int, modalities: tuple[str, ...] = ("a", "b")) -> NodeGraph:
    index = torch.arange(nodes)
    return NodeGraph(
        "ring-1",
        {m: torch.rand(nodes, 3) for m in modalities},
        {m: torch.ones(nodes, dtype=torch.bool) for m in modalities},
        index % 2,
        both_directions(torch.stack([index, (index + 1) % nodes], dim=1)),
        {TRAIN: index[: nodes // 2], VALIDATION: index[nodes // 2 : nodes // 2 + 4], TEST: index[nodes // 2 + 4 :]},
        tuple(map(str, range(nodes))),
    )


def pairs_of(graph: NodeGraph) -> set[frozenset[int]]:
    return {frozenset(pair) for pair in graph.edges.T.tolist()}


def test_links_that_are_asked_for_are_not_in_the_graph_and_all_others_are() -> None:
    whole = ring(200)
    asked = hold_out_links(whole, seed=1)
    held = [{frozenset(row) for row in asked.questions[split][:, :2].tolist()} for split in (VALIDATION, TEST)]
    assert [len(pairs) for pairs in held] == [10, 20]
    assert not held[0] & held[1]
    assert pairs_of(asked) | held[0] | held[1] == pairs_of(whole)
    assert not pairs_of(asked) & (held[0] | held[1])
    assert asked.edges.shape[1] == 2 * len(pairs_of(asked))


def test_wrong_answers_are_not_linked_and_there_once() -> None:
    whole = ring(200)
    rows = hold_out_links(whole, seed=1).questions[TEST]
    assert rows.shape == (20, 2 + WRONG)
    for node, right, *wrong in rows.tolist():
        assert frozenset((node, right)) in pairs_of(whole)
        assert len({node, *wrong}) == 1 + WRONG
        assert not {frozenset((node, other)) for other in wrong} & pairs_of(whole)


def test_the_seed_draws_which_links_are_held_out() -> None:
    same, again, other = (hold_out_links(ring(100), seed).questions[TEST] for seed in (1, 1, 2))
    assert torch.equal(same, again)
    assert not torch.equal(same, other)


def test_a_small_graph_has_fewer_wrong_answers_and_one_without_edges_no_question() -> None:
    rows = hold_out_links(ring(30), seed=0).questions[TEST]
    assert rows.shape == (3, 2 + 27)
    lonely = ring(30)
    assert not hold_out_links(NodeGraph(**{**lonely.__dict__, "edges": lonely.edges[:, :0]}), 0).questions[TEST].numel()


def test_a_view_is_looked_for_among_nodes_that_nobody_learns_from() -> None:
    graph = asked_about(ring(20), "retrieval", seed=0)
    rows = graph.questions[TEST]
    assert rows[:, 0].tolist() == rows[:, 1].tolist() == graph.parts[TEST].tolist()
    for row in rows.tolist():
        assert sorted(row[1:]) == list(range(10, 20))
    assert graph.edges.shape == ring(20).edges.shape


def test_classes_ask_nothing() -> None:
    assert asked_about(ring(20), "classes", 0).questions == {}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_texas(tmp_path_factory.mktemp("packs"))


def test_one_party_with_all_data_is_asked_what_all_parties_are(data: Path) -> None:
    parties = build_federation("heterophily", data, 0, "graph=texas+task=links").graphs
    (pooled,) = build_federation("heterophily", data, 0, "graph=texas+task=links", pooled=True).graphs
    for split in (VALIDATION, TEST):
        asked = [[p.ids[i] for i in row if i != NO_NODE] for p in parties for row in p.questions[split].tolist()]
        assert asked == [[pooled.ids[i] for i in row if i != NO_NODE] for row in pooled.questions[split].tolist()]
    (whole,) = build_federation("heterophily", data, 0, "graph=texas", pooled=True).graphs
    held = sum(len(rows) for rows in pooled.questions.values())
    assert pooled.edges.shape[1] == whole.edges.shape[1] - 2 * held


def test_questions_survive_the_file_of_a_party() -> None:
    graph = hold_out_links(ring(60), seed=0)
    read = graph_from_bytes(graph.name, graph_to_bytes(graph))
    assert {split: rows.tolist() for split, rows in read.questions.items()} == {
        split: rows.tolist() for split, rows in graph.questions.items()
    }


@pytest.mark.parametrize("rows", [[[0]], [[0, 60]], [[-1, 2]], [[0, 1, -2]]])
def test_questions_about_nodes_that_are_not_there_are_told(rows: list[list[int]]) -> None:
    graph = ring(60)
    broken = NodeGraph(**{**graph.__dict__, "questions": {TEST: torch.tensor(rows)}})
    with pytest.raises(ValueError, match="questions of test"):
        graph_from_bytes("ring-1", graph_to_bytes(broken))


def test_retrieval_takes_two_modalities(data: Path) -> None:
    with pytest.raises(ConcordError, match=r"C204.*texas have one modality"):
        build_federation("heterophily", data, 0, "graph=texas+task=retrieval")
