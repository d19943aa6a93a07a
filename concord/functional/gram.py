"""Gram matrices of public anchors: their similarity and their consensus.

A node never sends an anchor's embedding, only how similar the anchors are to each other. Centred kernel
alignment (CKA) compares two such Grams whatever the rotation and the scale of the spaces behind them
(Kornblith et al., ICML 2019); GeoLoRA (Eklund, arXiv 2601.17986) aligns unpaired modalities through it.

Shapes: N rows, C concepts, D width, K nodes, P concepts present.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from concord.functional.rows import group_means, unit_rows

Estimator = Literal["biased", "unbiased"]

_FEWEST_ROWS: dict[Estimator, int] = {"biased": 2, "unbiased": 4}


def concept_means(z_ND: Tensor, concept_N: Tensor, concepts: int) -> tuple[Tensor, Tensor]:
    """One row a concept: the mean of its L2-normalised rows. Differentiable. Source: ours.

    Args:
        z_ND: anchor embeddings, shape [N, D].
        concept_N: concept of each row, shape [N], int64 in [0, concepts).
        concepts: number of concepts C.

    Returns:
        Means [C, D], zero where a concept has no row, and the mask [C] of the concepts that have one.

    Raises:
        ValueError: a concept is out of range, or the lengths differ.
    """
    mean_CD, count_C = group_means(unit_rows(z_ND), concept_N, concepts)
    return mean_CD, count_C > 0


def gram(z_CD: Tensor) -> Tensor:
    """Cosine Gram G = Z Z^T of L2-normalised rows, shape [C, C]; zero rows stay zero. Source: reconstructed.

    Args:
        z_CD: one row a concept, shape [C, D].
    """
    unit_CD = unit_rows(z_CD)
    return unit_CD @ unit_CD.T


def centre(gram_CC: Tensor, mask_C: Tensor) -> Tensor:
    """Doubly centred Gram HGH, with H = I - 11^T/P over the P rows present.

    Args:
        gram_CC: Gram matrix, shape [C, C]; masked rows and columns are never read.
        mask_C: rows present, shape [C], bool.

    Returns:
        HGH, shape [C, C]; masked rows and columns are zero.

    Raises:
        ValueError: the shapes do not fit.
    """
    present_CC = present_pairs(gram_CC, mask_C)
    present_C = mask_C.to(gram_CC.dtype)
    h_CC = torch.diag(present_C) - torch.outer(present_C, present_C) / present_C.sum().clamp(min=1)
    return h_CC @ gram_CC.masked_fill(~present_CC, 0) @ h_CC


def cka(gram_a_CC: Tensor, gram_b_CC: Tensor, mask_C: Tensor | None = None, estimator: Estimator = "biased") -> Tensor:
    """Centred kernel alignment HSIC(A, B) / sqrt(HSIC(A, A) HSIC(B, B)). Differentiable.

    The biased estimator lies in [0, 1] for positive semidefinite Grams and is inflated when C is small against
    the width; the unbiased one lies in [-1, 1] and is near zero for independent representations.

    Args:
        gram_a_CC: Gram matrix, shape [C, C].
        gram_b_CC: Gram matrix, shape [C, C].
        mask_C: rows that both hold, shape [C], bool; all rows if None.
        estimator: "biased" HSIC_0, or "unbiased" HSIC_1 (Song et al., JMLR 2012).

    Returns:
        Scalar tensor; zero, with a zero gradient, where a Gram is constant over the rows and nothing can be compared.

    Raises:
        ValueError: fewer than 2 (biased) or 4 (unbiased) common rows, or shapes that do not fit.
    """
    if gram_a_CC.shape != gram_b_CC.shape:
        raise ValueError(f"Grams of shapes {tuple(gram_a_CC.shape)} and {tuple(gram_b_CC.shape)}")
    if mask_C is None:
        mask_C = torch.ones(len(gram_a_CC), dtype=torch.bool, device=gram_a_CC.device)
    present_pairs(gram_a_CC, mask_C)
    rows = int(mask_C.sum())
    if rows < _FEWEST_ROWS[estimator]:
        raise ValueError(f"{estimator} CKA needs {_FEWEST_ROWS[estimator]} common rows, got {rows}")
    unit_a = _unit_centred(gram_a_CC[mask_C][:, mask_C], estimator)
    unit_b = _unit_centred(gram_b_CC[mask_C][:, mask_C], estimator)
    return torch.sum(unit_a * unit_b)


def consensus(grams: Sequence[tuple[Tensor, Tensor]], weights_K: Tensor) -> tuple[Tensor, Tensor]:
    """What the nodes' Grams agree on: the weighted mean of HG_kH / ||HG_kH||_F. Source: reconstructed.

    Normalising first keeps nodes of large norm from leading. An entry is averaged over the nodes that hold both
    of its rows, with their weights renormalised [ours]. So that an entry of a node with P_k of the P rows is of
    the size that it has at the other nodes, that node's term is scaled by P_k / P [ours]; where every node holds
    every row, the formula above holds as it stands.

    Args:
        grams: of each of the K nodes the Gram [C, C] and the mask [C] of the rows that it holds.
        weights_K: non-negative weights, shape [K]; a node of weight zero has no say, in the mask neither.

    Returns:
        Consensus [C, C] and the mask [C] of the rows that any node with a say holds. The entry of two rows that
        no node holds together is zero.

    Raises:
        ValueError: no Gram, shapes that do not fit, or weights that are negative, not finite or all zero.
    """
    if len(grams) != len(weights_K):
        raise ValueError(f"{len(grams)} Grams but {len(weights_K)} weights")
    if not bool((weights_K.isfinite() & (weights_K >= 0)).all()) or not bool((weights_K > 0).any()):
        raise ValueError(f"weights must be finite, not negative and not all zero, got {weights_K.tolist()}")
    if len({gram_CC.shape for gram_CC, _ in grams}) != 1:
        raise ValueError(f"Grams of different shapes: {[tuple(gram_CC.shape) for gram_CC, _ in grams]}")
    weighted = [(float(weight), *pair) for weight, pair in zip(weights_K, grams, strict=True) if weight > 0]
    mask_C = torch.stack([held_C for _, _, held_C in weighted]).any(dim=0)
    sum_CC = torch.zeros_like(grams[0][0])
    weight_CC = torch.zeros_like(grams[0][0])
    for weight, gram_CC, held_C in weighted:
        held_CC = present_pairs(gram_CC, held_C)
        unit_CC = _unit(centre(gram_CC, held_C), gram_CC.masked_fill(~held_CC, 0))
        sum_CC += weight * int(held_C.sum()) / int(mask_C.sum()) * unit_CC
        weight_CC += weight * held_CC
    return sum_CC / weight_CC.masked_fill(weight_CC == 0, 1), mask_C


def present_pairs(gram_CC: Tensor, mask_C: Tensor) -> Tensor:
    """Entries [C, C] of which both rows are present; ValueError where the shapes do not fit."""
    if gram_CC.shape != (len(mask_C), len(mask_C)):
        raise ValueError(f"Gram of shape {tuple(gram_CC.shape)} with a mask of {len(mask_C)} rows")
    return mask_C[:, None] & mask_C[None, :]


def _unit_centred(gram_PP: Tensor, estimator: Estimator) -> Tensor:
    """A Gram centred so that the inner product of two of them is HSIC up to a factor of P, at Frobenius norm one."""
    if estimator == "biased":
        return _unit(centre(gram_PP, torch.ones(len(gram_PP), dtype=torch.bool, device=gram_PP.device)), gram_PP)
    # U-centring: <A, B>_F / (P (P - 3)) is HSIC_1, as Szekely and Rizzo (Annals of Statistics 2014) show.
    rows = len(gram_PP)
    is_diagonal_PP = torch.eye(rows, dtype=torch.bool, device=gram_PP.device)
    off_PP = gram_PP.masked_fill(is_diagonal_PP, 0)
    mean_P = off_PP.sum(dim=0) / (rows - 2)
    centred_PP = off_PP - mean_P[:, None] - mean_P[None, :] + off_PP.sum() / ((rows - 1) * (rows - 2))
    return _unit(centred_PP.masked_fill(is_diagonal_PP, 0), gram_PP)


def _unit(centred_CC: Tensor, gram_CC: Tensor) -> Tensor:
    """A centred Gram at Frobenius norm one; zero, with a zero gradient, where centring left nothing but rounding."""
    norm = torch.linalg.vector_norm(centred_CC)
    rounding = len(gram_CC) * torch.finfo(gram_CC.dtype).eps * torch.linalg.vector_norm(gram_CC.detach())
    is_zero = norm <= rounding
    unit_CC: Tensor = centred_CC / norm.masked_fill(is_zero, 1)
    return unit_CC.masked_fill(is_zero, 0)
