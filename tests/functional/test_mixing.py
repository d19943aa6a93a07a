"""Metropolis weights and mixing, against loops in float64, closed forms and numpy's eigenvalues.

Shapes: K agents, P values.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from concord.functional.mixing import consensus_distance, contraction, metropolis_matrix, metropolis_weight, mix
from tests.random_matrices import normal, seeds

nodes_of = st.integers(1, 9)


@st.composite
def graphs(draw: st.DrawFn) -> Tensor:
    """Adjacency of any graph, connected or not."""
    nodes = draw(nodes_of)
    pairs = [(i, j) for i in range(nodes) for j in range(i)]
    return graph(nodes, draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else [])


def graph(nodes: int, links: list[tuple[int, int]]) -> Tensor:
    adjacency_KK = torch.zeros(nodes, nodes, dtype=torch.bool)
    for i, j in links:
        adjacency_KK[i, j] = adjacency_KK[j, i] = True
    return adjacency_KK


def ring(nodes: int) -> Tensor:
    return graph(nodes, [(k, (k + 1) % nodes) for k in range(nodes)])


def complete(nodes: int) -> Tensor:
    return ~torch.eye(nodes, dtype=torch.bool)


def metropolis_by_loop(adjacency: list[list[bool]]) -> list[list[float]]:
    degrees = [sum(row) for row in adjacency]
    weights = [
        [metropolis_weight(degrees[i], degrees[j]) if a else 0.0 for j, a in enumerate(r)] for i, r in enumerate(adjacency)
    ]
    for i, row in enumerate(weights):
        row[i] = 1 - sum(row)
    return weights


def modulus_beside_the_mean(weights_KK: Tensor) -> float:
    """The second largest modulus, by numpy."""
    moduli = sorted(np.abs(np.linalg.eigvals(weights_KK.numpy())))
    return float(moduli[-2]) if len(moduli) > 1 else 0.0


def mixed_by_all(theta_KP: Tensor, adjacency_KK: Tensor) -> Tensor:
    """One round in which each agent knows only its neighbours' degrees and values."""
    degrees = adjacency_KK.sum(dim=1).tolist()
    rows = []
    for i, own_P in enumerate(theta_KP):
        neighbours = adjacency_KK[i].nonzero().flatten().tolist()
        rows.append(mix(own_P, [(metropolis_weight(degrees[i], degrees[j]), theta_KP[j]) for j in neighbours]))
    return torch.stack(rows)


def test_weights_by_hand() -> None:
    assert metropolis_weight(1, 1) == 1 / 2
    assert metropolis_weight(2, 5) == metropolis_weight(5, 2) == 1 / 6
    third, quarter = 1 / 3, 1 / 4
    wanted = [  # a triangle of 0, 1, 2 with 3 hung on 0
        [quarter, quarter, quarter, quarter],
        [quarter, 5 / 12, third, 0.0],
        [quarter, third, 5 / 12, 0.0],
        [quarter, 0.0, 0.0, 3 / 4],
    ]
    found_KK = metropolis_matrix(graph(4, [(0, 1), (0, 2), (1, 2), (0, 3)]))
    torch.testing.assert_close(found_KK, torch.tensor(wanted, dtype=torch.float64))
    assert metropolis_matrix(torch.zeros(1, 1, dtype=torch.bool)).tolist() == [[1.0]]


@pytest.mark.parametrize(("degree", "other"), [(0, 1), (1, 0), (-1, 3)])
def test_a_link_has_two_ends_with_neighbours(degree: int, other: int) -> None:
    with pytest.raises(ValueError, match="both ends"):
        metropolis_weight(degree, other)


@given(graphs())
def test_the_matrix_is_that_of_a_loop_and_doubly_stochastic(adjacency_KK: Tensor) -> None:
    weights_KK = metropolis_matrix(adjacency_KK)
    assert weights_KK.dtype == torch.float64
    torch.testing.assert_close(weights_KK, torch.tensor(metropolis_by_loop(adjacency_KK.tolist()), dtype=torch.float64))
    one_K = torch.ones(len(weights_KK), dtype=torch.float64)
    torch.testing.assert_close(weights_KK.sum(dim=0), one_K)
    torch.testing.assert_close(weights_KK.sum(dim=1), one_K)
    assert torch.equal(weights_KK, weights_KK.T)
    assert (weights_KK >= 0).all()
    assert (weights_KK.diagonal() > 0).all()
    assert torch.equal(weights_KK.fill_diagonal_(0) > 0, adjacency_KK)


@given(graphs(), seeds)
def test_other_names_for_the_agents_permute_weights_and_results(adjacency_KK: Tensor, seed: int) -> None:
    order = torch.randperm(len(adjacency_KK), generator=torch.Generator().manual_seed(seed))
    moved_KK, weights_KK = adjacency_KK[order][:, order], metropolis_matrix(adjacency_KK)
    torch.testing.assert_close(metropolis_matrix(moved_KK), weights_KK[order][:, order])
    assert contraction(metropolis_matrix(moved_KK)) == pytest.approx(contraction(weights_KK), abs=1e-12)
    theta_KP = normal(len(adjacency_KK), 5, seed=seed).float()
    torch.testing.assert_close(mixed_by_all(theta_KP[order], moved_KK), mixed_by_all(theta_KP, adjacency_KK)[order])
    assert consensus_distance(theta_KP[order]) == pytest.approx(consensus_distance(theta_KP))


@pytest.mark.parametrize(
    ("adjacency_KK", "message"),
    [
        (torch.zeros(0, 0, dtype=torch.bool), "square"),
        (torch.zeros(2, 3, dtype=torch.bool), "square"),
        (torch.zeros(2, dtype=torch.bool), "square"),
        (torch.tensor([[0.0, 1.0], [1.0, 0.0]]), "must be bool"),
        (torch.tensor([[False, True], [False, False]]), "symmetric"),
        (torch.eye(2, dtype=torch.bool), "its own neighbour"),
    ],
)
def test_what_is_no_graph_is_refused(adjacency_KK: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metropolis_matrix(adjacency_KK)


@pytest.mark.parametrize("nodes", [3, 4, 5, 8, 17, 50])
def test_contraction_of_a_ring_and_of_all_with_all(nodes: int) -> None:
    closed = max(abs(1 / 3 + 2 / 3 * math.cos(2 * math.pi * k / nodes)) for k in range(1, nodes))
    assert contraction(metropolis_matrix(ring(nodes))) == pytest.approx(closed, abs=1e-12)
    assert contraction(metropolis_matrix(complete(nodes))) == pytest.approx(0, abs=1e-12)


@given(graphs())
def test_contraction_is_the_second_modulus(adjacency_KK: Tensor) -> None:
    weights_KK = metropolis_matrix(adjacency_KK)
    found = contraction(weights_KK)
    assert 0 <= found <= 1
    assert found == pytest.approx(modulus_beside_the_mean(weights_KK), abs=1e-9)


@given(st.integers(1, 7), seeds)
def test_contraction_of_weights_that_are_not_symmetric(nodes: int, seed: int) -> None:
    """As in a round in which not all were heard."""
    weights_KK = normal(nodes, nodes, seed=seed).softmax(dim=1)
    assert contraction(weights_KK) == pytest.approx(modulus_beside_the_mean(weights_KK), abs=1e-9)


def test_contraction_of_parts_is_one_and_of_one_agent_zero() -> None:
    assert contraction(metropolis_matrix(graph(5, [(0, 1), (2, 3), (3, 4)]))) == pytest.approx(1, abs=1e-12)
    assert contraction(torch.eye(3)) == pytest.approx(1, abs=1e-12)
    assert contraction(torch.ones(1, 1)) == 0
    assert contraction(torch.tensor([[0.0, 1.0], [1.0, 0.0]])) == pytest.approx(1)  # they swap for ever: the eigenvalue is -1


@pytest.mark.parametrize("adjacency_KK", [ring(7), graph(5, [(0, k) for k in range(1, 5)]), graph(4, [(0, 1), (1, 2), (2, 3)])])
def test_the_consensus_distance_falls_by_the_contraction(adjacency_KK: Tensor) -> None:
    weights_KK = metropolis_matrix(adjacency_KK)
    theta_KP = normal(len(weights_KK), 3, seed=0)
    for _ in range(60):
        theta_KP = weights_KK @ theta_KP
    before = consensus_distance(theta_KP)
    assert consensus_distance(weights_KK @ theta_KP) / before == pytest.approx(contraction(weights_KK), rel=1e-3)


@pytest.mark.parametrize(
    ("weights_KK", "message"),
    [
        (torch.zeros(0, 0), "square"),
        (torch.ones(2, 3), "square"),
        (torch.tensor([[0.5, 0.4], [0.5, 0.5]]), "sum one"),
        (torch.tensor([[1.5, -0.5], [-0.5, 1.5]]), "not be negative"),
        (torch.full((2, 2), math.nan), "not be negative"),
    ],
)
def test_weights_that_average_nothing_have_no_contraction(weights_KK: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        contraction(weights_KK)


@given(graphs(), seeds, st.integers(-20, 20))
def test_a_round_of_all_is_the_matrix_and_keeps_the_mean(adjacency_KK: Tensor, seed: int, power: int) -> None:
    theta_KP = (normal(len(adjacency_KK), 6, seed=seed) * 2.0**power).float()
    mixed_KP = mixed_by_all(theta_KP, adjacency_KK)
    assert mixed_KP.dtype == torch.float32
    weights_KK = metropolis_matrix(adjacency_KK)
    tolerance = 1e-6 * 2.0**power
    torch.testing.assert_close(mixed_KP.double(), weights_KK @ theta_KP.double(), rtol=1e-6, atol=tolerance)
    torch.testing.assert_close(mixed_KP.double().mean(dim=0), theta_KP.double().mean(dim=0), rtol=1e-6, atol=tolerance)
    assert consensus_distance(mixed_KP) <= contraction(weights_KK) * consensus_distance(theta_KP) + 10 * tolerance


def test_mixing_by_hand() -> None:
    own_P = torch.tensor([0.0, 4.0, 1.0])
    received = [(0.25, torch.tensor([4.0, 4.0, 0.0])), (0.5, torch.tensor([-2.0, 0.0, 1.0]))]
    assert mix(own_P, received).tolist() == [0.0, 2.0, 0.75]
    assert mix(own_P, received[:1]).tolist() == [1.0, 4.0, 0.75]  # the silent neighbour's weight stays with the agent
    assert own_P.tolist() == [0.0, 4.0, 1.0]


@given(st.integers(0, 6), seeds)
def test_mixing_matches_a_loop_in_float64(neighbours: int, seed: int) -> None:
    theta_KP = normal(neighbours + 1, 4, seed=seed).float()
    weights = (normal(neighbours + 1, seed=seed + 1).softmax(dim=0)[1:]).tolist()
    mixed = mix(theta_KP[0], list(zip(weights, theta_KP[1:], strict=True))).tolist()
    for p, own in enumerate(theta_KP[0].tolist()):
        wanted = (1 - sum(weights)) * own + sum(w * theta_KP[k + 1, p].item() for k, w in enumerate(weights))
        assert mixed[p] == pytest.approx(wanted, rel=1e-6, abs=1e-7)


def test_nothing_received_and_equal_values_change_no_bit() -> None:
    tiny = float(np.finfo(np.float32).smallest_subnormal)
    own_P = torch.tensor([0.1, -0.0, 3.4e38, tiny, -1 / 3, math.inf])
    alone = mix(own_P, [])
    assert torch.equal(alone.view(torch.int32), own_P.view(torch.int32))
    assert alone.data_ptr() != own_P.data_ptr()
    finite_P = own_P[:-1]
    assert torch.equal(mix(finite_P, [(0.3, finite_P), (0.1, finite_P)]), finite_P)
    assert mix(torch.empty(0), [(0.5, torch.empty(0))]).shape == (0,)


def test_the_same_order_gives_the_same_bits() -> None:
    theta_KP = normal(8, 1000, seed=3).float()
    received = [(1 / 9, theta_P) for theta_P in theta_KP[1:]]
    assert torch.equal(mix(theta_KP[0], received), mix(theta_KP[0], [(w, theta_P.clone()) for w, theta_P in received]))
    torch.testing.assert_close(mix(theta_KP[0], received[::-1]), mix(theta_KP[0], received))


def test_a_neighbour_of_all_the_weight_replaces_the_own() -> None:
    own_P, other_P = normal(50, seed=0).float(), normal(50, seed=1).float()
    assert torch.equal(mix(own_P, [(1.0, other_P)]), other_P)
    thirds = [(1 / 3, other_P)] * 3  # a sum of one but for rounding
    torch.testing.assert_close(mix(own_P, thirds), other_P)


@pytest.mark.parametrize("weights", [[0.6, 0.5], [1.001], [-0.1], [math.nan], [math.inf]])
def test_weights_beyond_one_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="at most one in all"):
        mix(torch.zeros(2), [(weight, torch.zeros(2)) for weight in weights])


@pytest.mark.parametrize("other_P", [torch.zeros(3), torch.zeros(1), torch.zeros(2, 2), torch.zeros(2, dtype=torch.float64)])
def test_values_that_do_not_fit_are_refused(other_P: Tensor) -> None:
    with pytest.raises(ValueError, match=r"must be float32 of shape \(2,\)"):
        mix(torch.zeros(2), [(0.5, other_P)])
    if other_P.dtype == torch.float64:
        with pytest.raises(ValueError, match="must be float32"):
            mix(other_P, [])


@given(st.integers(1, 6), st.integers(0, 5), seeds)
def test_consensus_distance_matches_a_loop(nodes: int, values: int, seed: int) -> None:
    theta_KP = normal(nodes, values, seed=seed)
    rows: list[list[float]] = theta_KP.tolist()
    means = [sum(column) / nodes for column in zip(*rows, strict=True)]
    squares = [sum((v - m) ** 2 for v, m in zip(row, means, strict=True)) for row in rows]
    assert consensus_distance(theta_KP) == pytest.approx(math.sqrt(sum(squares) / nodes), abs=1e-12)
    assert consensus_distance(theta_KP + 5) == pytest.approx(consensus_distance(theta_KP), abs=1e-12)
    assert consensus_distance(-3 * theta_KP) == pytest.approx(3 * consensus_distance(theta_KP), abs=1e-12)


def test_consensus_distance_by_hand_and_in_float64() -> None:
    assert consensus_distance(torch.tensor([[1.0, 0.0], [-1.0, 0.0]])) == 1
    assert consensus_distance(torch.ones(4, 3)) == 0
    assert consensus_distance(torch.tensor([[1e30], [-1e30]])) == pytest.approx(1e30)  # its square is no float32
    for theta in (torch.zeros(0, 3), torch.zeros(3)):
        with pytest.raises(ValueError, match="shape"):
            consensus_distance(theta)
