"""Controlled propagation against loops over nodes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from concord.functional.propagation import (
    edge_cosines,
    local_homophily,
    local_statistics,
    means_by_homophily,
    neighbour_mean,
    neighbour_shares,
)

NODES = 7


def graph(seed: int) -> tuple[Tensor, Tensor]:
    """Features [N, 3], and edges in both directions; the last node has no neighbour."""
    generator = torch.Generator().manual_seed(seed)
    z_ND = torch.randn((NODES, 3), generator=generator, dtype=torch.float64)
    pairs = [(i, j) for i in range(NODES - 1) for j in range(i) if torch.rand((), generator=generator) < 0.5] or [(0, 1)]
    edge_2E = torch.tensor([*pairs, *((j, i) for i, j in pairs)]).T
    return z_ND, edge_2E


def neighbours(edge_2E: Tensor, node: int) -> list[int]:
    return edge_2E[0, edge_2E[1] == node].tolist()


def cosine(a: Tensor, b: Tensor) -> float:
    return float(a @ b / (a.norm() * b.norm()))


@given(st.integers(0, 2**32 - 1))
def test_against_loops(seed: int) -> None:
    z_ND, edge_2E = graph(seed)
    temperature_N = torch.linspace(0.1, 2, NODES, dtype=torch.float64)
    cosine_E = edge_cosines(z_ND, edge_2E)
    mean_N, variance_N, degree_N = local_statistics(cosine_E, edge_2E, NODES)
    share_E = neighbour_shares(cosine_E, temperature_N, edge_2E)
    mixed_ND = neighbour_mean(z_ND, share_E, edge_2E)
    for node in range(NODES):
        others = neighbours(edge_2E, node)
        told = [cosine(z_ND[node], z_ND[other]) for other in others]
        mean = sum(told) / len(told) if told else 0.0
        assert float(degree_N[node]) == len(others)
        assert float(mean_N[node]) == pytest.approx(mean)
        assert float(variance_N[node]) == pytest.approx(sum((c - mean) ** 2 for c in told) / max(1, len(told)))
        raised = [math.exp(c / float(temperature_N[node])) for c in told]
        wanted = sum((r / sum(raised) * z_ND[other] for r, other in zip(raised, others, strict=True)), torch.zeros(3).double())
        torch.testing.assert_close(mixed_ND[node], wanted)


def test_cold_nodes_listen_to_the_most_alike_and_hot_ones_to_all() -> None:
    z_ND = torch.tensor([[1.0, 0.0], [1.0, 0.1], [-1.0, 0.0]])
    edge_2E = torch.tensor([[1, 2], [0, 0]])
    cosine_E = edge_cosines(z_ND, edge_2E)
    assert neighbour_shares(cosine_E, torch.full((3,), 0.01), edge_2E).tolist() == pytest.approx([1, 0])
    assert neighbour_shares(cosine_E, torch.full((3,), 1e4), edge_2E).tolist() == pytest.approx([0.5, 0.5], abs=1e-3)


def test_temperatures_are_learnt_by_gradient() -> None:
    z_ND, edge_2E = graph(3)
    temperature_N = torch.full((NODES,), 0.5, dtype=torch.float64, requires_grad=True)

    def mixed(t_N: Tensor) -> Tensor:
        return neighbour_mean(z_ND, neighbour_shares(edge_cosines(z_ND, edge_2E), t_N, edge_2E), edge_2E)

    assert torch.autograd.gradcheck(mixed, (temperature_N,))


def test_homophily_by_hand() -> None:
    y_N = torch.tensor([0, 0, 1, 1])
    edge_2E = torch.tensor([[0, 1, 0, 2], [1, 0, 2, 0]])
    assert local_homophily(y_N, edge_2E).tolist() == pytest.approx([0.5, 1.0, 0.0, math.nan], nan_ok=True)


def test_means_by_homophily_by_hand() -> None:
    homophily_N = torch.tensor([0.0, 0.19, 0.2, 0.99, 1.0, math.nan])
    value_NV = torch.tensor([[1.0, 10.0], [3.0, 30.0], [5.0, 50.0], [7.0, 70.0], [8.0, 90.0], [99.0, 99.0]])
    mean_BV, count_B = means_by_homophily(homophily_N, value_NV, 5)
    assert count_B.tolist() == [2, 1, 0, 0, 2]
    assert mean_BV.tolist() == [[2, 20], [5, 50], [0, 0], [0, 0], [7.5, 80]]


@pytest.mark.parametrize("neighbours", [1, 2, 3, 5, 7, 10, 30, 49, 300])
def test_a_share_is_in_the_bin_that_its_fraction_says(neighbours: int) -> None:
    homophily_N = torch.arange(neighbours + 1).double() / neighbours
    _, count_B = means_by_homophily(homophily_N, homophily_N[:, None], 10)
    wanted = [0] * 10
    for same in range(neighbours + 1):
        wanted[min(10 * same // neighbours, 9)] += 1
    assert count_B.tolist() == wanted
