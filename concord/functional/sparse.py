"""Sparse updates: some coordinates of a group's flat array, and the choice of the largest.

Sending only the largest magnitudes of each tensor is top-k sparsification (Aji and Heafield, EMNLP 2017). What was not
sent is the node's to remember (error feedback, Stich et al., NeurIPS 2018).

Shapes: P coordinates of a group, K of them sent.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, eq=False)
class SparseUpdate:
    """An update of a group as a flat array, of which only some coordinates are known; the others are zero.

    Attributes:
        size: number of coordinates P.
        index_K: the known ones, shape [K], int64, strictly ascending in [0, P).
        value_K: what to add there, shape [K], float32; a zero counts as if it were not there.
    """

    size: int
    index_K: Tensor
    value_K: Tensor

    def dense(self) -> Tensor:
        """All coordinates, shape [P], float32."""
        return torch.zeros(self.size).index_put((self.index_K,), self.value_K)


def kept(size: int, density: float) -> int:
    """How many of `size` coordinates a density keeps: density * size, rounded up, at least one; none of none."""
    return min(size, max(1, math.ceil(round(density * size, 6))))  # 0.1 * 30 is a little above 3 in floating point


def top_k(update_P: Tensor, sizes: Sequence[int], density: float) -> SparseUpdate:
    """The largest magnitudes of each tensor, at least one of each. Source: published for FedMChain in words.

    Of equal magnitudes the first are taken. Zeros are never kept, so that a tensor with too few other values sends fewer.
    Memory: about twice that of the largest tensor.

    Args:
        update_P: tensors of a group one after the other, flat, shape [P], floating point.
        sizes: numbers of coordinates of the tensors, in order.
        density: share of each tensor to keep, in (0, 1].

    Returns:
        The update with ceil(density * size) coordinates a tensor, on the CPU.

    Raises:
        ValueError: sizes that do not add up to P, a density out of range, or a value that is not finite.
    """
    if update_P.ndim != 1 or sum(sizes) != len(update_P) or min(sizes, default=0) < 0:
        raise ValueError(f"tensors of {list(sizes)} coordinates in an array of shape {tuple(update_P.shape)}")
    if not 0 < density <= 1:
        raise ValueError(f"a density must be in (0, 1], got {density}")
    flat_P = update_P.detach().to("cpu", torch.float32).numpy()
    if not np.isfinite(flat_P).all():
        raise ValueError("an update must be finite")
    ends = accumulate(sizes, initial=0)
    parts = [low + _largest(flat_P[low:high], kept(high - low, density)) for low, high in pairwise(ends)]
    index_K = np.concatenate([np.empty(0, np.int64), *parts])
    return SparseUpdate(len(flat_P), torch.from_numpy(index_K), torch.from_numpy(flat_P[index_K]))


def concatenated(updates: Sequence[SparseUpdate]) -> SparseUpdate:
    """Updates of several groups as one of all their coordinates, in order."""
    starts = list(accumulate((update.size for update in updates), initial=0))
    index_K = torch.cat([update.index_K + start for update, start in zip(updates, starts, strict=False)])
    return SparseUpdate(starts[-1], index_K, torch.cat([update.value_K for update in updates]))


def l2_norm(update: SparseUpdate) -> float:
    """Euclidean norm of an update, in float64."""
    return float(update.value_K.double().norm())


def norm_ratio(norm: float, base: float) -> float:
    """A norm relative to another; one where both are zero, infinite where only the other is."""
    if base == 0:
        return 1.0 if norm == 0 else math.inf
    return norm / base


def check_same_size(updates: Iterable[SparseUpdate]) -> int:
    """The number of coordinates P of all updates; ValueError where there is none or they differ."""
    sizes = {update.size for update in updates}
    if len(sizes) != 1:
        raise ValueError(f"updates must be of one size, got sizes {sorted(sizes)}")
    return sizes.pop()


def _largest(value_P: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Ascending indices of the `count` largest magnitudes that are not zero, of equal ones the first.

    By a threshold: selecting (index, value) pairs, as torch.topk does, takes three times as long and four times the memory.
    """
    if count == len(value_P):
        return np.flatnonzero(value_P)
    magnitude_P = np.abs(value_P)
    threshold = np.partition(magnitude_P, len(magnitude_P) - count)[-count]
    if threshold == 0:
        return np.flatnonzero(value_P)
    is_kept_P = magnitude_P > threshold
    is_kept_P[np.flatnonzero(magnitude_P == threshold)[: count - np.count_nonzero(is_kept_P)]] = True
    return np.flatnonzero(is_kept_P)
