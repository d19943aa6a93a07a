"""Decentralised averaging: each agent moves towards its neighbours, with weights that both ends know from the degrees they say.

For PARSE (Shi et al., arXiv 2601.10012), published in words: decentralised SGD on the subgraph of the agents that can use a
slice. That it mixes with Metropolis weights is reconstructed; the weights are those of Xiao, Boyd & Kim (JPDC 2007).

A neighbour that was silent is left out of `mix`: its weight stays with the agent itself, as the formula stands. The mean of
all agents is then kept only where the other one left this agent out too.

Shapes: K agents, P values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

_ROUNDING = 1e-9


def metropolis_weight(degree: int, other_degree: int) -> float:
    """Weight of a link, 1 / (1 + max(d_i, d_j)): the same seen from both ends. Source: published (Xiao, Boyd & Kim 2007).

    Args:
        degree, other_degree: neighbours of each end in one slice's graph; each counts the other, so at least one.

    Raises:
        ValueError: a degree below one.
    """
    if min(degree, other_degree) < 1:
        raise ValueError(f"both ends of a link have a neighbour, got degrees {degree} and {other_degree}")
    return 1 / (1 + max(degree, other_degree))


def metropolis_matrix(adjacency_KK: Tensor) -> Tensor:
    """All weights of a graph: `metropolis_weight` on the links, the rest on the diagonal. Source: published, as there.

    Args:
        adjacency_KK: who is whose neighbour, shape [K, K], bool, symmetric, nobody its own.

    Returns:
        Weights W, shape [K, K], float64: symmetric, not negative, rows and columns of sum one, diagonal positive.

    Raises:
        ValueError: no agent, not a square bool matrix, not symmetric, or an agent that is its own neighbour.
    """
    _check_square(adjacency_KK, "adjacency")
    if adjacency_KK.dtype != torch.bool:
        raise ValueError(f"adjacency must be bool, got {adjacency_KK.dtype}")
    if not torch.equal(adjacency_KK, adjacency_KK.T):
        raise ValueError("adjacency must be symmetric")
    if bool(adjacency_KK.diagonal().any()):
        raise ValueError("no agent is its own neighbour: the diagonal of the adjacency must be false")
    degree_K = adjacency_KK.sum(dim=1).double()
    weights_KK = adjacency_KK / (1 + torch.maximum(degree_K[:, None], degree_K))
    return weights_KK + torch.diag(1 - weights_KK.sum(dim=1))


def contraction(weights_KK: Tensor) -> float:
    """The factor by which the consensus distance falls a round in the long run. Source: published (Xiao & Boyd 2004).

    The spectral radius of W - 11^T/K, which is the second largest modulus of the eigenvalues of W: taking 11^T/K away turns
    the one of the mean into zero and leaves the others, for all W with rows of sum one.

    Args:
        weights_KK: shape [K, K], not negative, rows of sum one, see `metropolis_matrix`; need not be symmetric.

    Returns:
        In [0, 1]: one (to rounding) where the graph falls apart, zero where one round reaches the mean.

    Raises:
        ValueError: no agent, not a square matrix, a negative weight, or a row whose sum is not one.
    """
    _check_square(weights_KK, "weights")
    weights = weights_KK.double()
    sum_K = weights.sum(dim=1)
    if not bool((weights >= 0).all()) or not torch.allclose(sum_K, torch.ones_like(sum_K), rtol=0, atol=_ROUNDING):
        raise ValueError("weights must not be negative, and those of each agent must have the sum one")
    rest_KK = weights - 1 / len(weights)
    values_K = torch.linalg.eigvalsh(rest_KK) if torch.equal(rest_KK, rest_KK.T) else torch.linalg.eigvals(rest_KK)
    return min(float(values_K.abs().max()), 1.0)


def mix(own_P: Tensor, received: Sequence[tuple[float, Tensor]]) -> Tensor:
    """One agent's step of a round, theta + sum_j w_j (theta_j - theta). Source: published (Xiao, Boyd & Kim 2007).

    Summed in float64 in the order given and rounded once: the same neighbours in the same order give the same bits.
    Without any it is the agent's own, bit for bit; likewise where all are equal.

    Args:
        own_P: shape [P], float32.
        received: of each neighbour that spoke, its weight w_j and values theta_j, shape [P], float32.

    Returns:
        Shape [P], float32, a new tensor.

    Raises:
        ValueError: a weight that is negative or not finite, weights of a sum above one, or values of another shape or type.
    """
    weights = [weight for weight, _ in received]
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights) or math.fsum(weights) > 1 + _ROUNDING:
        raise ValueError(f"weights of neighbours must be finite, not negative, and at most one in all, got {weights}")
    for theta_P in (own_P, *(theta_P for _, theta_P in received)):
        if theta_P.dtype != torch.float32 or theta_P.shape != own_P.shape:
            wanted = f"float32 of shape {tuple(own_P.shape)}"
            raise ValueError(f"values that are mixed must be {wanted}, got {theta_P.dtype} of {tuple(theta_P.shape)}")
    start_P = own_P.double()
    mixed_P = start_P.clone()
    for weight, theta_P in received:
        mixed_P += weight * (theta_P.double() - start_P)
    return mixed_P.float()


def consensus_distance(theta_KP: Tensor) -> float:
    """How far agents are from their mean, sqrt(mean_k ||theta_k - mean||^2). Source: published (Kong et al., ICML 2021).

    Args:
        theta_KP: values of the agents, shape [K, P].

    Returns:
        In the unit of theta; float64 inside.

    Raises:
        ValueError: no agent, or not a matrix.
    """
    if theta_KP.ndim != 2 or len(theta_KP) == 0:
        raise ValueError(f"values of agents must have shape [K, P] with K > 0, got {tuple(theta_KP.shape)}")
    theta = theta_KP.double()
    return math.sqrt(float((theta - theta.mean(dim=0)).square().sum(dim=1).mean()))


def _check_square(matrix_KK: Tensor, what: str) -> None:
    if matrix_KK.ndim != 2 or len(matrix_KK) == 0 or matrix_KK.shape[0] != matrix_KK.shape[1]:
        raise ValueError(f"{what} must be a square matrix, got shape {tuple(matrix_KK.shape)}")
