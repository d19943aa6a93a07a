"""Features of nodes on their way into a network; bags of words, which are mostly zeros, as sparse matrices.

Legend: N nodes, F features, H outputs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

SPARSE_BELOW = 0.1  # share of features that are not zero


def as_features(x_NF: Tensor) -> Tensor:
    """The same features, sparse where few are not zero; dropout and product then cost as much as these few."""
    return x_NF.to_sparse() if float((x_NF != 0).double().mean()) < SPARSE_BELOW else x_NF


def drop(x_NF: Tensor, dropout: float, *, training: bool) -> Tensor:
    """Values of which some are dropped in training, and the others raised to make up for it.

    By uniform draws, a quarter of what `torch.nn.functional.dropout` costs on a processor.
    """
    if not training or not dropout:
        return x_NF
    if not x_NF.is_sparse:
        return x_NF * torch.rand_like(x_NF).ge_(dropout).div_(1 - dropout)
    kept = drop(x_NF.values(), dropout, training=True)
    return torch.sparse_coo_tensor(x_NF.indices(), kept, x_NF.shape, is_coalesced=True, check_invariants=False)


def project(x_NF: Tensor, linear: nn.Linear) -> Tensor:
    """A linear layer [N, H] of features, dense or sparse."""
    if not x_NF.is_sparse:
        dense_NH: Tensor = linear(x_NF)
        return dense_NH
    sparse_NH: Tensor = torch.sparse.mm(x_NF, linear.weight.T)
    return sparse_NH if linear.bias is None else sparse_NH + linear.bias
