"""Propagation that each node controls by how alike it and its neighbours are: STAGE (Chen et al., arXiv 2605.11919).

Published: a controller sets the temperature of message passing, differentiably, from local homophily. Reconstructed: what it
sees (mean and variance of the cosines with the neighbours, entropy of the node's anchor shares, logarithm of the degree) and
the gate between a node and its neighbourhood.

An edge list has each undirected edge in both directions: ``source -> target``. Rows are taken by `index_select`, whose gradient
costs half of that of indexing.

Legend: N nodes, E directed edges, D width, B bins, V values.
"""

from __future__ import annotations

import torch
from torch import Tensor

from concord.functional.rows import group_means, unit_rows


def edge_cosines(z_ND: Tensor, edge_2E: Tensor) -> Tensor:
    """Cosine [E] between the two ends of each edge."""
    unit_ND = unit_rows(z_ND)
    return (unit_ND.index_select(0, edge_2E[0]) * unit_ND.index_select(0, edge_2E[1])).sum(dim=1)


def sum_at_target(value_E: Tensor, edge_2E: Tensor, nodes: int) -> Tensor:
    """Sum [N, ...] over the edges that end in each node."""
    total = value_E.new_zeros((nodes, *value_E.shape[1:]))
    return total.index_add(0, edge_2E[1], value_E)


def local_statistics(cosine_E: Tensor, edge_2E: Tensor, nodes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and variance of the cosines with the neighbours, and the degree, [N] each; 0 for a node without neighbours."""
    degree_N = sum_at_target(torch.ones_like(cosine_E), edge_2E, nodes)
    least_N = degree_N.clamp(min=1)
    mean_N = sum_at_target(cosine_E, edge_2E, nodes) / least_N
    variance_N = sum_at_target((cosine_E - mean_N.index_select(0, edge_2E[1])).square(), edge_2E, nodes) / least_N
    return mean_N, variance_N, degree_N


def neighbour_shares(cosine_E: Tensor, temperature_N: Tensor, edge_2E: Tensor) -> Tensor:
    """a [E]: softmax over the neighbours of each node of their cosine with it, divided by the node's temperature."""
    score_E = cosine_E / temperature_N.index_select(0, edge_2E[1])
    highest_N = torch.full_like(temperature_N, -torch.inf).scatter_reduce(0, edge_2E[1], score_E.detach(), "amax")
    raised_E = (score_E - highest_N.index_select(0, edge_2E[1])).exp()
    return raised_E / sum_at_target(raised_E, edge_2E, len(temperature_N)).index_select(0, edge_2E[1])


def neighbour_mean(value_ND: Tensor, share_E: Tensor, edge_2E: Tensor) -> Tensor:
    """Mean [N, D] of the neighbours' values by their shares; zero for a node without neighbours."""
    return sum_at_target(share_E[:, None] * value_ND.index_select(0, edge_2E[0]), edge_2E, len(value_ND))


def local_homophily(y_N: Tensor, edge_2E: Tensor) -> Tensor:
    """Share [N] of the neighbours that have the node's class; NaN for a node without neighbours."""
    same_E = (y_N[edge_2E[0]] == y_N[edge_2E[1]]).double()
    degree_N = sum_at_target(torch.ones_like(same_E), edge_2E, len(y_N))
    return sum_at_target(same_E, edge_2E, len(y_N)) / degree_N


def means_by_homophily(homophily_N: Tensor, value_NV: Tensor, bins: int) -> tuple[Tensor, Tensor]:
    """Means [B, V] and counts [B] of what nodes have, in bins of their local homophily that are alike in width.

    A bin has its lower edge, the last one both. Nodes whose homophily is NaN are in none; the mean of an empty bin is zero.
    """
    known_N = ~homophily_N.isnan()
    bin_N = (homophily_N[known_N] * bins).long().clamp(max=bins - 1)
    return group_means(value_NV[known_N], bin_N, bins)
