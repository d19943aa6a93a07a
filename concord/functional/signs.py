"""Sparse sign-guided aggregation: who agrees with whom, and the mean of those who agree.

The server side of FedMChain (Zhang et al., arXiv 2606.01856), published in words: group clients by sign agreement and
aggregate the sparse updates within the group. All formulas here are reconstructed; electing a sign a coordinate and
averaging those who have it is that of TIES-Merging (Yadav et al., NeurIPS 2023).

Everything goes over the coordinates in blocks and never holds the K updates densely. Memory beside the updates is some
arrays of `BLOCK_ENTRIES` values (more where coordinates that most nodes sent lie close together), matrices of K x K,
and the result: 12 bytes a coordinate that some node sent, and 4 a coordinate while it is put together.

Shapes: K nodes, P coordinates of a group, B coordinates of a block, N values of all nodes in a block, U coordinates that
some node sent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import csr_array
from scipy.spatial.distance import squareform
from torch import Tensor

from concord.functional.sparse import SparseUpdate, check_same_size, l2_norm

BLOCK_ENTRIES = 1 << 17
"""Values of all nodes in one block of coordinates: few enough to stay in the cache of a processor, enough to amortise a call."""

DENSE_SHARE = 0.2
"""From this share of known coordinates on, products of dense blocks are faster than those of sparse ones."""

_ROUNDING = 1e-9

Floats = NDArray[np.float64]
Electorate = Literal["winners", "all"]


def sign_agreement(updates: Sequence[SparseUpdate]) -> Tensor:
    """How far the signs of every two updates agree where both have one. Source: reconstructed.

    a_ij = sum_c s_ic s_jc / |supp_i & supp_j| with s = sign(delta) and supp its coordinates that are not zero; zero where no
    coordinate is in both. Time: sum over coordinates of the square of how many sent it, or K^2 P multiplications in
    matrix products where most sent most.

    Args:
        updates: of the K nodes, all of one size.

    Returns:
        Agreement, symmetric, shape [K, K], float64 in [-1, 1]; one on the diagonal, zero there for an empty update.

    Raises:
        ValueError: no update, or sizes that differ.
    """
    size = check_same_size(updates)
    nodes = len(updates)
    entries = sum(len(update.index_K) for update in updates)
    count = _dense_counts if entries >= DENSE_SHARE * nodes * size else _sparse_counts
    signed_KK, shared_KK = np.zeros((nodes, nodes)), np.zeros((nodes, nodes))
    for block in _blocks(updates):
        signed, shared = count(block, nodes)
        signed_KK += signed
        shared_KK += shared
    return torch.from_numpy(signed_KK / np.maximum(shared_KK, 1))


def sign_clusters(agreement_KK: Tensor, threshold: float) -> Tensor:
    """Average-linkage clusters of nodes, merged while their mean agreement is at least `threshold`. Source: reconstructed.

    The two clusters with the largest mean agreement between their members are merged first (UPGMA on 1 - a).

    Args:
        agreement_KK: symmetric agreement, shape [K, K], see `sign_agreement`; the diagonal does not matter.
        threshold: least mean agreement tau of two clusters that are merged; at most -1 merges all, above 1 none.

    Returns:
        Labels, shape [K], int64, numbered from zero by the first member.

    Raises:
        ValueError: no node, or agreement that is not square, symmetric and finite.
    """
    agreement = agreement_KK.double()
    if agreement.ndim != 2 or len(agreement) == 0 or agreement.shape[0] != agreement.shape[1]:
        raise ValueError(f"agreement must be a square matrix, got shape {tuple(agreement.shape)}")
    if not bool(agreement.isfinite().all()) or not torch.allclose(agreement, agreement.T):
        raise ValueError("agreement must be finite and symmetric")
    if len(agreement) == 1:
        return torch.zeros(1, dtype=torch.int64)
    distance_KK = (2 - agreement - agreement.T) / 2
    tree = linkage(squareform(distance_KK.numpy(), checks=False), "average")
    found_K = fcluster(tree, 1 - threshold + _ROUNDING, "distance")
    _, first, label_K = np.unique(found_K, return_index=True, return_inverse=True)
    return torch.from_numpy(np.argsort(np.argsort(first))[label_K].astype(np.int64))


def heaviest_cluster(label_K: Tensor, weight_K: Tensor) -> Tensor:
    """The members of the cluster with the largest weight; of equally heavy ones, that of the first node. Source: reconstructed.

    Args:
        label_K: cluster of each node, shape [K], see `sign_clusters`.
        weight_K: weight of each node, shape [K], not negative; examples for instance.

    Returns:
        Mask of the members, shape [K], bool.

    Raises:
        ValueError: no node, lengths that differ, or a weight that is negative or not finite.
    """
    weights = _checked_weights(weight_K, len(label_K))
    labels = label_K.tolist()
    members = {label: [w for w, other in zip(weights, labels, strict=True) if other == label] for label in labels}
    heaviest = max(members, key=lambda label: math.fsum(members[label]))
    return torch.tensor([label == heaviest for label in labels])


def elected_mean(updates: Sequence[SparseUpdate], weight_K: Tensor, over: Electorate = "winners") -> SparseUpdate:
    """The weighted mean of the values whose sign won the coordinate. Source: reconstructed; TIES without clusters.

    gamma_c = sign(sum_k n_k delta_kc); a coordinate where no sign won (gamma_c = 0) is left out. Over ``winners``, the
    nodes that voted with gamma_c, one voter alone keeps its full value, which makes the norm larger than that of
    `weighted_mean`: log `norm_ratio` of the two. Over ``all`` nodes, the others counting as zero (ours), a value is as
    strong as the share of those who stand behind it.

    Args:
        updates: of the K nodes, all of one size.
        weight_K: weights n_k, shape [K], not negative, not all zero.
        over: whose weights the sum is divided by.

    Returns:
        The mean, at the coordinates with a sign that won.

    Raises:
        ValueError: no update, sizes that differ, or weights that do not fit.
    """
    weights = _positive_weights(weight_K, len(updates))

    def mean(block: _Block) -> Floats:
        voted_N, weight_N = weights[block.node_N] * block.value_N, weights[block.node_N]
        gamma_B = np.sign(_sums(block, voted_N))
        won_N = np.sign(block.value_N) * gamma_B[block.at_N] > 0
        total = weights.sum() if over == "all" else _nonzero(_sums(block, weight_N * won_N))
        return _sums(block, voted_N * won_N) / total

    return _blockwise(updates, mean)


def weighted_mean(updates: Sequence[SparseUpdate], weight_K: Tensor) -> SparseUpdate:
    """The weighted mean of all updates, a coordinate that a node did not send counting as zero: top-k without election.

    Args:
        updates: of the K nodes, all of one size.
        weight_K: weights n_k, shape [K], not negative, not all zero.

    Returns:
        The mean, at the coordinates where it is not zero.

    Raises:
        ValueError: no update, sizes that differ, or weights that do not fit.
    """
    return _blockwise(updates, _mean_of(updates, weight_K))


def weighted_mean_norm(updates: Sequence[SparseUpdate], weight_K: Tensor) -> float:
    """Euclidean norm of `weighted_mean`, which is not made for it. Args and errors: as there."""
    mean = _mean_of(updates, weight_K)
    return math.sqrt(sum(float(np.square(mean(block)).sum()) for block in _blocks(updates)))


def _mean_of(updates: Sequence[SparseUpdate], weight_K: Tensor) -> Callable[[_Block], Floats]:
    weights = _positive_weights(weight_K, len(updates))
    share_K = weights / weights.sum()
    return lambda block: _sums(block, share_K[block.node_N] * block.value_N)


def clip_to_median(updates: Sequence[SparseUpdate], factor: float) -> list[SparseUpdate]:
    """Updates with an L2 norm above `factor` times the median norm, scaled down to it. Source: ours.

    Bounded influence: however large an update, it moves the mean by at most its share times that bound. The median is the
    lower one, and updates without a value do not count: fewer than half of those who sent something cannot raise the bound
    above `factor` times an honest norm, and nobody presses it to zero by sending nothing.

    Args:
        updates: of the K nodes.
        factor: positive; infinity clips nothing.

    Returns:
        The updates in order; those within the bound as they are, the others with new values.

    Raises:
        ValueError: a factor that is not positive.
    """
    if not factor > 0:
        raise ValueError(f"the factor of the median norm must be positive, got {factor}")
    norms = [l2_norm(update) for update in updates]
    positive = sorted(norm for norm in norms if norm > 0)
    bound = factor * positive[(len(positive) - 1) // 2] if positive else math.inf
    return [_scaled(update, bound / norm) if norm > bound else update for update, norm in zip(updates, norms, strict=True)]


@dataclass(frozen=True)
class _Block:
    """All values of B coordinates from `low` on: value_N[n] is what node node_N[n] sent for coordinate low + at_N[n]."""

    low: int
    width: int
    node_N: NDArray[np.int64]
    at_N: NDArray[np.int64]
    value_N: Floats


def _blocks(updates: Sequence[SparseUpdate]) -> Iterator[_Block]:
    """The updates in blocks of coordinates, of about `BLOCK_ENTRIES` values each where they are evenly spread."""
    size = check_same_size(updates)
    entries = sum(len(update.index_K) for update in updates)
    width = max(1, min(size, size * BLOCK_ENTRIES // max(entries, 1)))
    edges = np.arange(0, size + width, width)
    cuts = [np.searchsorted(update.index_K.numpy(), edges) for update in updates]
    for number, low in enumerate(edges[:-1]):
        spans = [slice(cut[number], cut[number + 1]) for cut in cuts]
        yield _Block(
            low=int(low),
            width=min(width, size - int(low)),
            node_N=np.repeat(np.arange(len(updates)), [span.stop - span.start for span in spans]),
            at_N=np.concatenate([u.index_K.numpy()[span] for u, span in zip(updates, spans, strict=True)]) - low,
            value_N=np.concatenate([u.value_K.numpy()[span] for u, span in zip(updates, spans, strict=True)]).astype(np.float64),
        )


def _sparse_counts(block: _Block, nodes: int) -> tuple[Floats, Floats]:
    """sum_c s_ic s_jc and the number of shared coordinates, of one block, each [K, K].

    Both from one product: of the 0-1 matrix whose rows are where each node is positive and then where each is negative.
    """
    is_positive_N, is_negative_N = block.value_N > 0, block.value_N < 0
    at = np.concatenate([block.at_N[is_positive_N], block.at_N[is_negative_N]])
    counts = np.concatenate([np.bincount(block.node_N[mask], minlength=nodes) for mask in (is_positive_N, is_negative_N)])
    starts = np.concatenate([[0], np.cumsum(counts)])
    where: Any = csr_array((np.ones(len(at), np.int32), at, starts), shape=(2 * nodes, block.width))
    together = (where @ where.T).toarray().astype(np.float64).reshape(2, nodes, 2, nodes)
    same, other = together[0, :, 0] + together[1, :, 1], together[0, :, 1] + together[1, :, 0]
    return same - other, same + other


def _dense_counts(block: _Block, nodes: int) -> tuple[Floats, Floats]:
    """The same by dense products; counts below 2^24 are exact in float32."""
    sign_KB = np.zeros((nodes, block.width), np.float32)
    sign_KB[block.node_N, block.at_N] = np.sign(block.value_N)
    has_KB = np.abs(sign_KB)
    return (sign_KB @ sign_KB.T).astype(np.float64), (has_KB @ has_KB.T).astype(np.float64)


def _blockwise(updates: Sequence[SparseUpdate], value: Callable[[_Block], Floats]) -> SparseUpdate:
    """The update whose values of each block are `value(block)`, [B], without those that are zero."""
    value_P = np.zeros(updates[0].size, np.float32)
    for block in _blocks(updates):
        value_P[block.low : block.low + block.width] = value(block)
    index_U = np.flatnonzero(value_P)
    return SparseUpdate(len(value_P), torch.from_numpy(index_U), torch.from_numpy(value_P[index_U]))


def _sums(block: _Block, term_N: Floats) -> Floats:
    """The sum over the nodes at each coordinate, shape [B]."""
    return np.asarray(np.bincount(block.at_N, weights=term_N, minlength=block.width), np.float64)


def _nonzero(divisor: Floats) -> Floats:
    return np.where(divisor == 0, 1, divisor)


def _scaled(update: SparseUpdate, scale: float) -> SparseUpdate:
    return SparseUpdate(update.size, update.index_K, (update.value_K.double() * scale).float())


def _checked_weights(weight_K: Tensor, nodes: int) -> list[float]:
    weights: list[float] = weight_K.double().tolist()
    if nodes == 0 or len(weights) != nodes:
        raise ValueError(f"{nodes} nodes and {len(weights)} weights")
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights):
        raise ValueError(f"weights must be finite and not negative, got {weights}")
    return weights


def _positive_weights(weight_K: Tensor, nodes: int) -> Floats:
    weights = np.array(_checked_weights(weight_K, nodes))
    if not weights.sum() > 0:
        raise ValueError("weights must not all be zero")
    return weights
