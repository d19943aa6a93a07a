"""Networks of graphs against dense matrices and the functions that they are made of."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_run import DEFAULTS, Settings, tiny_config
from torch import Tensor

from client_app.data.graph import TEST, TRAIN, VALIDATION, NodeGraph, both_directions
from client_app.graphs.features import as_features, drop
from client_app.graphs.homophily import control_by_homophily
from client_app.graphs.network import GraphNetwork, without_modality
from client_app.graphs.registry import build_network
from client_app.graphs.training import Shared, moments, objective, train_network
from concord.config import RunConfig
from concord.errors import ConcordError
from concord.functional.propagation import local_homophily
from concord.functional.semantics import merge_prototypes

NODES, CLASSES = 12, 3
WIDTHS = {"flag": 5, "text": 7}


def made_up(seed: int = 0) -> NodeGraph:
    generator = torch.Generator().manual_seed(seed)
    present = {"flag": torch.rand(NODES, generator=generator) < 0.7, "text": torch.ones(NODES, dtype=torch.bool)}
    x = {m: torch.randn((NODES, width), generator=generator) * present[m][:, None] for m, width in WIDTHS.items()}
    pairs = torch.tensor([(i, j) for i in range(NODES - 1) for j in (i + 1, i + 3) if j < NODES - 1])
    index = torch.arange(NODES)
    parts = {TRAIN: index[:6], VALIDATION: index[6:9], TEST: index[9:]}
    ids = tuple(f"n{i}" for i in range(NODES))
    return NodeGraph("made-up", x, present, index % CLASSES, both_directions(pairs), parts, ids)


def config_of(folder: Path, architecture: str, settings: Settings = DEFAULTS) -> RunConfig:
    method = "stage" if architecture == "stage" else "fedavg"
    return tiny_config(
        folder,
        {
            "method": method,
            "suite": "heterophily",
            "graph.architecture": architecture,
            "graph.hidden": 6,
            "stage.anchors": 4,
            "stage.width": 5,
            **settings,
        },
    )


def network_of(folder: Path, architecture: str, settings: Settings = DEFAULTS) -> GraphNetwork:
    return build_network(config_of(folder, architecture, settings), WIDTHS, CLASSES).eval()


def normalised_adjacency(graph: NodeGraph) -> Tensor:
    """D^-1/2 (A + I) D^-1/2 of Kipf & Welling, [N, N]."""
    a_NN = torch.eye(NODES)
    a_NN[graph.edges[1], graph.edges[0]] = 1
    scale_N = a_NN.sum(1).rsqrt()
    return scale_N[:, None] * a_NN * scale_N


def test_gcn_is_as_published(tmp_path: Path) -> None:
    graph, network = made_up(), network_of(tmp_path, "gcn")
    a_NN = normalised_adjacency(graph)
    first = {m: dict(module.named_parameters()) for m, module in network.inputs.items()}
    head = dict(network.head.named_parameters())
    parts = (a_NN @ graph.x[m] @ first[m]["linear.weight"].T + first[m]["propagate.bias"] for m in WIDTHS)
    hidden_NH = sum(parts, torch.zeros(())).relu()
    logits_NC = a_NN @ hidden_NH @ head["lin.weight"].T + head["bias"]
    torch.testing.assert_close(network(graph).out_NO, logits_NC)


def test_sage_is_as_published(tmp_path: Path) -> None:
    graph, network = made_up(), network_of(tmp_path, "sage", {"graph.layers": 1})
    a_NN = torch.zeros(NODES, NODES)
    a_NN[graph.edges[1], graph.edges[0]] = 1
    mean_NN = a_NN / a_NN.sum(1, keepdim=True).clamp(min=1)
    logits_NC = torch.zeros(NODES, CLASSES)
    for m, module in network.inputs.items():
        named = dict(module.named_parameters())
        logits_NC = logits_NC + mean_NN @ graph.x[m] @ named["theirs.weight"].T
        logits_NC = logits_NC + graph.x[m] @ named["own.weight"].T + named["own.bias"]
    torch.testing.assert_close(network(graph).out_NO, logits_NC)


def test_an_mlp_does_not_look_at_edges(tmp_path: Path) -> None:
    graph, network = made_up(), network_of(tmp_path, "mlp", {"graph.layers": 3})
    bare = replace(graph, edges=graph.edges[:, :0])
    assert torch.equal(network(graph).out_NO, network(bare).out_NO)


@pytest.mark.parametrize("architecture", ["gcn", "sage", "mlp", "stage"])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_every_network_has_groups_and_learns(architecture: str, layers: int, tmp_path: Path) -> None:
    config = config_of(tmp_path, architecture, {"graph.layers": layers, "graph.dropout": 0.0, "local-steps": 60, "lr": 0.05})
    graph, network = made_up(), build_network(config, WIDTHS, CLASSES)
    again = build_network(config, WIDTHS, CLASSES)
    assert all(torch.equal(a, b) for a, b in zip(network.state_dict().values(), again.state_dict().values(), strict=True))
    in_groups = [p for group in network.groups().values() for p in group.values()]
    assert sorted(map(id, in_groups)) == sorted(map(id, network.parameters()))
    before = objective(network, graph, config, Shared())["task"].item()
    losses = train_network(network, graph, config, Shared(), 1)
    after = objective(network, graph, config, Shared())["task"].item()
    assert after < 0.5 * before
    assert losses["total"] == pytest.approx(sum(value for name, value in losses.items() if name != "total"))


@pytest.mark.parametrize("architecture", ["gcn", "sage", "mlp", "stage"])
def test_sparse_features_give_what_dense_ones_do(architecture: str, tmp_path: Path) -> None:
    graph, config = made_up(), config_of(tmp_path, architecture, {"graph.dropout": 0.0, "local-steps": 5, "lr": 0.05})
    few = {m: x * (torch.rand(x.shape, generator=torch.Generator().manual_seed(1)) < 0.09) for m, x in graph.x.items()}
    dense, sparse = replace(graph, x=few), replace(graph, x={m: as_features(x) for m, x in few.items()})
    assert all(x.is_sparse for x in sparse.x.values())
    assert not any(as_features(x).is_sparse for x in graph.x.values())
    networks = [build_network(config, WIDTHS, CLASSES) for _ in range(2)]
    for network, seen in zip(networks, (dense, sparse), strict=True):
        train_network(network, seen, config, Shared(), 1)
    torch.testing.assert_close(networks[0](dense).out_NO, networks[1](sparse).out_NO, rtol=1e-3, atol=1e-4)
    blind = (without_modality(graph, "flag") for graph in (dense, sparse))
    torch.testing.assert_close(
        *(network(graph).out_NO for network, graph in zip(networks, blind, strict=True)), rtol=1e-3, atol=1e-4
    )


def test_dropout_of_sparse_features_is_of_those_that_are_not_zero() -> None:
    x_NF = as_features(torch.eye(100))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        kept_NF = drop(x_NF, 0.5, training=True).to_dense()
    assert set(kept_NF.diagonal().tolist()) == {0.0, 2.0}
    assert 30 < int((kept_NF > 0).sum()) < 70
    assert torch.equal(drop(x_NF, 0.5, training=False).to_dense(), torch.eye(100))


@pytest.mark.parametrize("architecture", ["gcn", "sage", "mlp", "stage"])
def test_a_modality_may_be_absent_at_inference(architecture: str, tmp_path: Path) -> None:
    graph, network = made_up(), network_of(tmp_path, architecture)
    blind = without_modality(graph, "flag")
    assert not blind.x["flag"].any()
    assert not blind.present["flag"].any()
    assert graph.present["flag"].any()
    assert not torch.allclose(network(graph).out_NO, network(blind).out_NO)
    if architecture == "stage":  # a node that never had it is translated alike
        never_N = ~graph.present["flag"]
        torch.testing.assert_close(network(graph).z_ND[never_N], network(blind).z_ND[never_N])


def test_stage_without_control_listens_to_all_alike_at_one_temperature(tmp_path: Path) -> None:
    graph = made_up()
    seen = network_of(tmp_path, "stage", {"stage.homophily-control": False})(graph)
    assert set(seen.temperature_N.tolist()) == {1.0}
    assert set(seen.gate_N.tolist()) == {0.5}
    controlled = network_of(tmp_path, "stage")(graph)
    assert len(set(controlled.temperature_N.tolist())) > 1
    assert bool((controlled.temperature_N > 0.05).all())


def test_stage_without_own_features_propagates_the_translation_alone(tmp_path: Path) -> None:
    graph = made_up()
    network = network_of(tmp_path, "stage", {"stage.own-features": False})
    assert all(list(dict(module.named_parameters())) == ["translation.weight"] for module in network.inputs.values())
    before = network(graph)
    beside = network_of(tmp_path, "stage")
    assert torch.equal(before.z_ND, beside(graph).z_ND)  # the translation is the same
    assert not torch.allclose(before.hidden_NH, beside(graph).hidden_NH)
    changed = replace(graph, x={m: 2 * x for m, x in graph.x.items()})  # neither looks at how large features are
    torch.testing.assert_close(beside(changed).out_NO, beside(graph).out_NO)


def test_without_weights_of_their_own_neighbours_go_through_those_of_a_node(tmp_path: Path) -> None:
    graph = made_up()
    network = network_of(tmp_path, "stage", {"stage.neighbour-weights": False})
    assert not any(name.startswith("theirs") for name in network.groups()["layers"])
    with_own = network_of(tmp_path, "stage")
    seen, other = network(graph), with_own(graph)
    assert torch.equal(seen.q_NK, other.q_NK)
    assert not torch.allclose(seen.hidden_NH, other.hidden_NH)
    for theirs, own in zip(with_own.layers.theirs, with_own.layers.own, strict=True):
        theirs.load_state_dict(own.state_dict())
    torch.testing.assert_close(seen.hidden_NH, with_own(graph).hidden_NH)


def test_every_switch_of_stage_takes_its_term_away(tmp_path: Path) -> None:
    graph = made_up()
    network = network_of(tmp_path, "stage")
    mean_KD, mass_K = moments(network, graph)
    table = merge_prototypes([mean_KD], [mass_K], torch.zeros(4, 5), torch.zeros(4, dtype=torch.bool), 0.5)[0], mass_K
    terms = {"calibration", "entropy", "agreement"}
    config = config_of(tmp_path, "stage")
    assert objective(network, graph, config, Shared(table)).keys() == {"task", *terms}
    assert objective(network, graph, config, Shared()).keys() == {"task", *(terms - {"agreement"})}
    for name in terms:
        config = config_of(tmp_path, "stage", {f"stage.{name}-weight": 0.0})
        assert objective(network, graph, config, Shared(table)).keys() == {"task", *(terms - {name})}
    uniform, usage = (
        objective(network, graph, config_of(tmp_path, "stage", {"stage.prior": prior}), Shared(table))["calibration"]
        for prior in ("uniform", "usage")
    )
    assert bool(usage.isfinite())
    assert usage.item() != uniform.item()


def test_moments_are_of_the_nodes_that_have_something(tmp_path: Path) -> None:
    graph, network = made_up(), network_of(tmp_path, "stage")
    _, mass_K = moments(network, graph)
    assert float(mass_K.sum()) == pytest.approx(NODES, rel=1e-5)
    _, mass_K = moments(network, without_modality(graph, "text"))
    assert float(mass_K.sum()) == pytest.approx(int(graph.present["flag"].sum()), rel=1e-5)


def test_a_party_without_labels_learns_from_what_needs_none(tmp_path: Path) -> None:
    graph, nobody = made_up(), torch.tensor([], dtype=torch.int64)
    bare = replace(graph, parts={**graph.parts, TRAIN: nobody})
    losses = {}
    for architecture in ("stage", "gcn"):
        config = config_of(tmp_path, architecture)
        losses[architecture] = train_network(build_network(config, WIDTHS, CLASSES), bare, config, Shared(), 1)
    assert losses["stage"].keys() == {"calibration", "entropy", "total"}
    assert losses["gcn"] == {"total": 0.0}


def test_without_pytorch_geometric_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_geometric.nn", None)
    with pytest.raises(ConcordError, match=r"C103 .*needs PyTorch Geometric(?s:.)*graphs"):
        network_of(tmp_path, "gcn")
    network_of(tmp_path, "stage")


def test_a_party_tells_what_its_nodes_set_by_homophily_and_of_no_bin_of_a_few(tmp_path: Path) -> None:
    network, graph = network_of(tmp_path, "stage"), made_up()
    of_three = torch.tensor([(i, j) for i in (0, 3, 6, 9) for j in (1, 2, 4) if j < NODES])
    graph = replace(graph, edges=both_directions(of_three), y=torch.tensor([0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, -1]))
    with torch.no_grad():
        seen = network(graph)
    assert seen.temperature_N is not None
    assert seen.gate_N is not None
    homophily_N = local_homophily(graph.y, graph.edges).tolist()
    mixed, alike = [i for i, h in enumerate(homophily_N) if 0.6 <= h < 0.7], [i for i, h in enumerate(homophily_N) if h == 1]
    assert (len(mixed), len(alike)) == (4, 2), "too few to be told of"
    assert control_by_homophily(network, graph) == []
    graph = replace(graph, y=torch.tensor([0, 0, -1, 0, 0, 0, 0, 0, 0, 0, 0, -1]))  # one whose class is not known, not another
    (told,) = control_by_homophily(network, graph)
    nodes = [0, 1, 3, 4, 6, 9]
    assert (told.bin, told.nodes) == (9, len(nodes))
    assert told.temperature == pytest.approx(float(seen.temperature_N[nodes].mean()))
    assert told.gate == pytest.approx(float(seen.gate_N[nodes].mean()))


def test_nodes_without_a_modality_have_nothing_to_tell_of_homophily(tmp_path: Path) -> None:
    network, graph = network_of(tmp_path, "stage"), replace(made_up(), y=torch.zeros(NODES, dtype=torch.int64))
    bare = replace(graph, present={m: has & (torch.arange(NODES) > 3) for m, has in graph.present.items()})
    assert [told.nodes for told in control_by_homophily(network, graph)] == [NODES - 1], "all but the one without a neighbour"
    assert [told.nodes for told in control_by_homophily(network, bare)] == [NODES - 5]


def test_only_nodes_that_control_how_they_listen_have_something_to_tell(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="only STAGE"):
        control_by_homophily(network_of(tmp_path, "mlp"), made_up())
