"""Low-rank updates s B A of frozen weights, and how to average them.

LoRA (Hu et al., ICLR 2022) trains B and A; DoRA (Liu et al., ICML 2024) sets the weight to a magnitude times the
normalised rows of W0 + s B A. Averaging B and A each for itself does not average their products; `aggregate_exact`
does, by a QR factorisation of the concatenated factors and a small SVD [reconstructed].

Shapes: O outputs, I inputs, R rank, K nodes, S sum of the nodes' ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from concord.functional.rows import dominant_signs, unit_rows

Factor: TypeAlias = tuple[Tensor, Tensor]
"""B [O, R] and A [R, I] of the update B A."""


def orthonormal_rows(rank: int, dim: int, generator: torch.Generator) -> Tensor:
    """Random orthonormal rows a_RI, Haar distributed: the frozen A of a shared seed.

    Args:
        rank: number of rows R.
        dim: length I of a row.
        generator: source of randomness; its device is the result's.

    Returns:
        Shape [R, I], default dtype. Computed in float64, so that rounding hides what linear algebra libraries differ by.

    Raises:
        ValueError: more rows than dimensions.
    """
    if not 0 <= rank <= dim:
        raise ValueError(f"{rank} orthonormal rows do not fit into {dim} dimensions")
    normal_IR = torch.randn(dim, rank, dtype=torch.float64, generator=generator, device=generator.device)
    q_IR, r_RR = torch.linalg.qr(normal_IR)
    haar_IR: Tensor = q_IR * r_RR.diagonal().sign()
    return haar_IR.T.to(torch.get_default_dtype())


def aggregate_exact(factors: Sequence[Factor], weights_K: Tensor, rank: int) -> Factor:
    """The best approximation of rank `rank` to sum_k w_k B_k A_k, without forming that matrix. Source: reconstructed.

    The singular values are in B, largest first: the first r columns of B and rows of A are the best approximation of
    rank r. Signs follow a convention. Where the sum has a lower rank, columns of B are zero, while the rows of A stay
    orthonormal: a component that is zero now can still be learnt.

    Args:
        factors: B_k [O, R_k] and A_k [R_k, I] of each of the K nodes; ranks may differ.
        weights_K: weights, shape [K], summing to one for a mean.
        rank: rank R of the result, at most I.

    Returns:
        B [O, R] and A [R, I], the rows of A orthonormal, in the dtype of the factors.

    Raises:
        ValueError: no factors, shapes that do not fit, weights that are not finite, or a rank that is too large.
    """
    weights = _checked_weights(factors, weights_K)
    outputs, inputs = factors[0][0].shape[0], factors[0][1].shape[1]
    if not 1 <= rank <= inputs:
        raise ValueError(f"rank {rank} is not in [1, {inputs}]")
    b_OS = torch.cat([w * b_OR.double() for w, (b_OR, _) in zip(weights, factors, strict=True)], dim=1)
    a_SI = torch.cat([a_RI.double() for _, a_RI in factors])
    missing = max(rank - len(a_SI), 0)
    spare_RI = orthonormal_rows(missing, inputs, torch.Generator().manual_seed(0)).to(a_SI)
    q_b, r_b = torch.linalg.qr(torch.cat([b_OS, b_OS.new_zeros(outputs, missing)], dim=1))
    q_a, r_a = torch.linalg.qr(torch.cat([a_SI, spare_RI]).T)
    u, singular, vh = torch.linalg.svd(r_b @ r_a.T)
    kept = min(rank, len(singular))
    a_RI = vh[:rank] @ q_a.T
    b_OR = torch.cat([q_b @ u[:, :kept] * singular[:kept], b_OS.new_zeros(outputs, rank - kept)], dim=1)
    sign_R = dominant_signs(a_RI)
    return (b_OR * sign_R).to(factors[0][0]), (a_RI * sign_R[:, None]).to(factors[0][1])


def dora_directions(w0_OI: Tensor, b_OR: Tensor, a_RI: Tensor, scale: float) -> Tensor:
    """Directions of a DoRA weight: the rows of W0 + s B A at norm one (Liu et al., ICML 2024).

    A row belongs to an output, and its norm is taken over the inputs, as in `peft`.

    Args:
        w0_OI: frozen weight, shape [O, I].
        b_OR: shape [O, R].
        a_RI: shape [R, I].
        scale: s = alpha / R.

    Returns:
        Directions, shape [O, I]; a zero row stays zero.
    """
    return unit_rows(w0_OI + scale * (b_OR @ a_RI))


def direction_gap(w0_OI: Tensor, factors: Sequence[Factor], weights_K: Tensor, scale: float) -> Tensor:
    """What averaging updates loses against averaging the DoRA directions D they give. Source: ours.

    Args:
        w0_OI: frozen weight, shape [O, I].
        factors: B_k [O, R_k] and A_k [R_k, I] of each of the K nodes.
        weights_K: weights, shape [K], summing to one.
        scale: s = alpha / R.

    Returns:
        Scalar ||sum_k w_k D(B_k A_k) - D(sum_k w_k B_k A_k)||_F / ||D(sum_k w_k B_k A_k)||_F, zero for one node.

    Raises:
        ValueError: no factors, shapes that do not fit, or weights that are not finite.
    """
    weights = _checked_weights(factors, weights_K)
    mean_of_directions_OI = torch.zeros_like(w0_OI)
    for w, (b_OR, a_RI) in zip(weights, factors, strict=True):
        mean_of_directions_OI += w * dora_directions(w0_OI, b_OR, a_RI, scale)
    b_OS = torch.cat([w * b_OR for w, (b_OR, _) in zip(weights, factors, strict=True)], dim=1)
    direction_of_mean_OI = dora_directions(w0_OI, b_OS, torch.cat([a_RI for _, a_RI in factors]), scale)
    gap: Tensor = torch.linalg.norm(mean_of_directions_OI - direction_of_mean_OI) / torch.linalg.norm(direction_of_mean_OI)
    return gap


def _checked_weights(factors: Sequence[Factor], weights_K: Tensor) -> list[float]:
    """The weights as numbers, once they and the factors fit together."""
    if not factors or len(factors) != len(weights_K):
        raise ValueError(f"{len(factors)} factors and {len(weights_K)} weights")
    if not bool(weights_K.isfinite().all()):
        raise ValueError(f"weights must be finite, got {weights_K.tolist()}")
    if len({(b_OR.shape[0], a_RI.shape[1]) for b_OR, a_RI in factors}) != 1 or any(b.shape[1] != len(a) for b, a in factors):
        raise ValueError(f"factors do not fit: {[(tuple(b.shape), tuple(a.shape)) for b, a in factors]}")
    return [float(weight) for weight in weights_K]
