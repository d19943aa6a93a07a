"""The tasks on a graph: their losses against formulas written out, and ranks that can be told by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from client_app.data.graph import TEST, TRAIN, VALIDATION, NodeGraph, both_directions
from client_app.data.questions import NO_NODE
from client_app.graphs.network import GraphNetwork, Seen
from client_app.graphs.registry import build_network
from client_app.graphs.tasks import link_loss, rankings, retrieval_loss, task_loss
from concord.config import RunConfig
from concord.seeding import seeded

LINKS = RunConfig(suite="world", scenario="task=links")
RETRIEVAL = RunConfig(suite="world", scenario="task=retrieval")


class Mean(GraphNetwork):
    """Gives the mean of the features of all modalities: what it sees can be told by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs, self.layers, self.head = nn.ModuleDict(), nn.Identity(), nn.Identity()

    @property
    def width(self) -> int:
        return 2

    def forward(self, graph: NodeGraph) -> Seen:
        mean_NF = torch.stack([graph.x[m] for m in graph.modalities]).mean(0)
        return Seen(mean_NF, mean_NF)


def graph_of(x: dict[str, torch.Tensor], questions: list[list[int]], has: dict[str, list[bool]] | None = None) -> NodeGraph:
    nodes = len(next(iter(x.values())))
    index = torch.arange(nodes)
    present = {m: torch.tensor(has[m]) if has else torch.ones(nodes, dtype=torch.bool) for m in x}
    edges = both_directions(torch.tensor([[0, 1], [1, 2]]))
    parts = {TRAIN: index, VALIDATION: index[:0], TEST: index}
    return NodeGraph("a", x, present, index % 2, edges, parts, tuple(map(str, range(nodes))), {TEST: torch.tensor(questions)})


@pytest.mark.parametrize("architecture", ["gcn", "sage", "mlp", "stage"])
@pytest.mark.parametrize("config", [LINKS, RETRIEVAL], ids=["links", "retrieval"])
def test_an_embedding_is_what_the_last_layer_gives(config: RunConfig, architecture: str) -> None:
    settings = config.graph.model_copy(update={"architecture": architecture})
    network = build_network(config.model_copy(update={"graph": settings}), {"flag": 3, "text": 4}, 5).eval()
    x = {m: torch.randn(6, width, generator=torch.Generator().manual_seed(1)) for m, width in (("flag", 3), ("text", 4))}
    out_NO = network(graph_of(x, [[0, 1, 2]])).out_NO
    assert out_NO.shape == (6, network.width)
    assert bool((out_NO < 0).any())  # no ReLU behind it
    assert ("head" in network.groups()) == (architecture != "stage")  # its last layer is one of propagation


def test_the_loss_of_links_is_that_of_edges_and_of_pairs_without_one() -> None:
    out_NO = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    edges = both_directions(torch.tensor([(i, i + 1) for i in range(29)]))
    with seeded("links"):
        loss = link_loss(out_NO, edges)
    with seeded("links"):
        drawn = torch.randint(30, edges.shape).T.tolist()
    apart = [(a, b) for a, b in drawn if abs(a - b) > 1]
    assert 0 < len(apart) < len(drawn)

    def mean_log(pairs: list[tuple[int, int]], sign: int) -> torch.Tensor:
        return torch.stack([-F.logsigmoid(sign * out_NO[a] @ out_NO[b]) for a, b in pairs]).mean()

    assert loss is not None
    assert loss == pytest.approx(float(mean_log(edges.T.tolist(), 1) + mean_log(apart, -1)), rel=1e-5)


def test_without_an_edge_there_is_nothing_to_learn_links_from() -> None:
    assert link_loss(torch.randn(5, 2), torch.zeros(2, 0, dtype=torch.int64)) is None


def test_in_a_complete_graph_edges_alone_are_learnt_from() -> None:
    out_NO = torch.randn(4, 2)
    edges = both_directions(torch.tensor([(i, j) for i in range(4) for j in range(i)]))
    loss = link_loss(out_NO, edges)
    assert loss is not None
    assert loss == pytest.approx(float(-F.logsigmoid((out_NO[edges[0]] * out_NO[edges[1]]).sum(1)).mean()), rel=1e-5)


def test_the_linked_node_is_ranked_by_dot_product() -> None:
    x = {"a": torch.tensor([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [-1.0, 0.0]])}
    graph = graph_of(x, [[0, 1, 2, 3], [0, 2, 1, NO_NODE]])
    ((kind, split, sums),) = rankings(Mean(), graph, LINKS)
    assert (kind, split, sums.questions, sums.first) == ("links", TEST, 2, 1)
    assert sums.reciprocal_ranks == pytest.approx(1 / 2 + 1)


def test_views_are_ranked_by_cosine_in_both_directions() -> None:
    x = {"a": torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), "b": torch.tensor([[5.0, 0.1], [3.0, 2.0], [0.1, 9.0]])}
    graph = graph_of(x, [[0, 0, 1, 2], [1, 1, 0, 2], [2, 2, 0, 1]])
    found = {kind: sums for kind, _, sums in rankings(Mean(), graph, RETRIEVAL)}
    # from a: node 0 finds itself first; node 1 (upwards) is nearest to node 2, itself second; node 2 (diagonal) to node 1, itself
    # third or second by cosine with (0.1, 9) against (5, 0.1)
    by_hand = F.cosine_similarity(x["a"][:, None], x["b"][None], dim=2)
    rank = [1 + sum(float(by_hand[i, j]) > float(by_hand[i, i]) for j in range(3)) for i in range(3)]
    assert found["a->b"].reciprocal_ranks == pytest.approx(sum(1 / r for r in rank))
    rank = [1 + sum(float(by_hand[j, i]) > float(by_hand[i, i]) for j in range(3)) for i in range(3)]
    assert found["b->a"].reciprocal_ranks == pytest.approx(sum(1 / r for r in rank))


def test_nodes_that_lack_a_modality_neither_ask_nor_answer() -> None:
    x = {"a": torch.eye(3, 2) + 0.1, "b": torch.eye(3, 2) + 0.2}
    has = {"a": [True, True, True], "b": [True, True, False]}
    graph = graph_of(x, [[0, 0, 1, 2], [2, 2, 0, 1]], has)
    found = {kind: sums for kind, _, sums in rankings(Mean(), graph, RETRIEVAL)}
    assert [found[kind].questions for kind in ("a->b", "b->a")] == [1, 1]
    assert found["a->b"].chance == pytest.approx((1 + 1 / 2) / 2)  # node 2 is no answer in b
    assert found["b->a"].chance == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)


def test_one_modality_has_no_other_to_be_found_by() -> None:
    graph = graph_of({"a": torch.randn(3, 2)}, [[0, 0, 1, 2]])
    assert list(rankings(Mean(), graph, RETRIEVAL)) == []
    assert retrieval_loss(Mean(), graph, 0.1) is None


def test_the_loss_of_retrieval_is_the_mean_over_pairs_of_modalities() -> None:
    x = {m: torch.randn(6, 4, generator=torch.Generator().manual_seed(i)) for i, m in enumerate("abc")}
    loss = retrieval_loss(Mean(), graph_of(x, [[0, 0]]), 0.5)
    by_hand = []
    for a, b in (("a", "b"), ("a", "c"), ("b", "c")):
        cosine = F.cosine_similarity(x[a][:, None], x[b][None], dim=2) / 0.5
        both = [(-torch.diag(F.log_softmax(cosine, dim=d))).mean() for d in (0, 1)]
        by_hand.append(sum(both) / 2)
    assert loss is not None
    assert float(loss) == pytest.approx(float(sum(by_hand) / 3), rel=1e-5)


@pytest.mark.parametrize("scenario", ["task=links", "task=retrieval"])
@pytest.mark.parametrize("architecture", ["mlp", "stage", "gcn"])
def test_every_network_learns_the_task(architecture: str, scenario: str) -> None:
    if architecture == "gcn":
        pytest.importorskip("torch_geometric")
    config = RunConfig.model_validate(
        {"suite": "world", "scenario": scenario, "graph": {"architecture": architecture, "hidden": 16, "dropout": 0.0}}
    )
    x = {m: torch.randn(12, 8, generator=torch.Generator().manual_seed(i)) for i, m in enumerate("ab")}
    ring = both_directions(torch.tensor([(i, (i + 1) % 12) for i in range(12)]))
    graph = replace(graph_of(x, [[0, 0]]), edges=ring)
    network = build_network(config, dict.fromkeys(x, 8), classes=2)
    assert network(graph).out_NO.shape == (12, 16)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
    losses = []
    with seeded("task"):
        for _ in range(60):
            loss = task_loss(network, lambda: network(graph), graph, config)
            assert loss is not None
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
    assert sum(losses[-15:]) < 0.8 * sum(losses[:15])
