"""How certain a node is, and the share that this earns it.

GeoLoRA weighs a node by precision: pi_k proportional to n_k / sigma_k^2, sigma_k^2 a cheap estimate of predictive
variance on the public anchors, capped so that no node leads by claiming certainty [reconstructed].

Shapes: K nodes, N samples, M queries, D width, T dropout samples, C classes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

VARIANCE_FLOOR = 0.1
"""Least variance that counts, as a fraction of the median of the positive variances: nobody is taken to be more
than ten times as precise as the median node."""

_ROUNDING = 1e-12
_ROUNDING_OF_FACTORS = 1e-9


def capped_shares(raw_K: Tensor, cap: float) -> Tensor:
    """Shares proportional to `raw_K` below the cap, none above it: exact water-filling. Source: ours.

    The cap is relaxed to 1/K, the least that K shares can meet. Zeros stay zero unless all others are at the cap
    and something is left; the zeros then share it equally. If all are zero the shares are uniform.

    Args:
        raw_K: non-negative claims, shape [K].
        cap: largest share, positive.

    Returns:
        Shares, shape [K], summing to one, in the dtype of `raw_K` (the default dtype for integers).

    Raises:
        ValueError: no claim, a claim that is negative or not finite, or a cap that is not positive.
    """
    if raw_K.ndim != 1 or len(raw_K) == 0 or not bool((raw_K.isfinite() & (raw_K >= 0)).all()):
        raise ValueError(f"claims must be finite and not negative, got {raw_K.tolist()}")
    if not cap > 0:
        raise ValueError(f"the cap on a share must be positive, got {cap}")
    dtype = raw_K.dtype if raw_K.is_floating_point() else torch.get_default_dtype()
    level = min(max(cap, 1 / len(raw_K)), 1.0)
    claim_K, order_K = raw_K.double().sort(descending=True, stable=True)
    share_K = torch.zeros_like(claim_K)
    positive = int((claim_K > 0).sum())
    for capped in range(positive):  # the `capped` largest claims are at the cap; the others divide what is left
        left = 1 - capped * level
        relative = claim_K[capped:] / claim_K[capped]
        if left <= relative.sum() * level * (1 + _ROUNDING):
            share_K[:capped] = level
            share_K[capped:] = relative * (left / relative.sum())
            break
    else:
        share_K[:positive] = level
        share_K[positive:] = (1 - positive * level) / (len(share_K) - positive)
    return torch.empty_like(share_K).scatter(0, order_K, share_K).to(dtype)


def capping_factors(claim_K: Tensor, cap: float) -> Tensor:
    """What each claim is multiplied with, so that none is above the cap on its share of what is left. Source: ours.

    Args:
        claim_K: non-negative claims, shape [K].
        cap: largest share, relaxed as in `capped_shares`.

    Returns:
        Factors [K] above 0 and up to 1, which is exactly 1 for every claim that need not be lowered.

    Raises:
        ValueError: as `capped_shares`.
    """
    share_K, claim_K = capped_shares(claim_K.double(), cap), claim_K.double()
    counts_K = claim_K > 0
    if not bool(counts_K.any()):
        return torch.ones_like(claim_K)
    whole = (claim_K[counts_K] / share_K[counts_K]).min()
    factor_K = torch.where(counts_K, share_K * whole / claim_K.clamp(min=torch.finfo(torch.float64).tiny), 1.0)
    return torch.where(factor_K > 1 - _ROUNDING_OF_FACTORS, 1.0, factor_K)


def precision_shares(examples_K: Tensor, variance_K: Tensor, cap: float) -> Tensor:
    """Capped shares pi_k proportional to n_k / sigma_k^2. Source: reconstructed.

    A variance below `VARIANCE_FLOOR` times the median positive variance counts as that floor, so that a claimed
    variance of zero cannot dominate. If all variances are zero, only the examples count.

    Args:
        examples_K: examples n_k of each node, shape [K].
        variance_K: predictive variance sigma_k^2 of each node, shape [K].
        cap: largest share, see `capped_shares`.

    Returns:
        Shares, shape [K], summing to one.

    Raises:
        ValueError: no node, lengths that differ, or values that are negative or not finite.
    """
    if examples_K.shape != variance_K.shape:
        raise ValueError(f"{len(examples_K)} example counts but {len(variance_K)} variances")
    if not bool((variance_K.isfinite() & (variance_K >= 0)).all()):
        raise ValueError(f"variances must be finite and not negative, got {variance_K.tolist()}")
    variance_64_K = variance_K.double()
    positive = variance_64_K[variance_64_K > 0]
    median = positive.quantile(0.5) if len(positive) > 0 else variance_64_K.new_ones(())
    relative_K = (variance_64_K / median).clamp(min=VARIANCE_FLOOR)
    return capped_shares(examples_K / relative_K, cap).to(variance_K.dtype)


def laplace_variance(features_ND: Tensor, query_MD: Tensor, prior: float = 1.0, noise: float = 1.0) -> Tensor:
    """Mean predictive variance of a linear-Gaussian last layer at the queries. Source: reconstructed.

    The Laplace approximation is exact here: weights with a Gaussian prior and posterior precision
    prior I + Phi^T Phi / noise (Bishop 2006, section 3.3). The variance is that of the function; the
    noise of an observation, the same constant at each node, is not added, for it would only level the weights.

    Args:
        features_ND: last-layer inputs of the training samples, shape [N, D].
        query_MD: last-layer inputs of the public anchors, shape [M, D].
        prior: precision of the prior on a weight, positive.
        noise: variance of an observation, positive.

    Returns:
        Scalar mean over the queries q of q^T Sigma q, in squared units of the output.

    Raises:
        ValueError: no query, widths that differ, or a prior or noise that is not positive.
    """
    if len(query_MD) == 0 or features_ND.shape[1] != query_MD.shape[1]:
        raise ValueError(f"features of shape {tuple(features_ND.shape)}, queries of shape {tuple(query_MD.shape)}")
    if not (prior > 0 and noise > 0):
        raise ValueError(f"prior and noise must be positive, got {prior} and {noise}")
    phi_ND = features_ND.double() / math.sqrt(noise)
    precision_DD = phi_ND.T @ phi_ND + prior * torch.eye(phi_ND.shape[1], dtype=phi_ND.dtype, device=phi_ND.device)
    whitened_DM: Tensor = torch.linalg.solve_triangular(torch.linalg.cholesky(precision_DD), query_MD.double().T, upper=False)
    return whitened_DM.square().sum(dim=0).mean().to(query_MD.dtype)


def mc_dropout_variance(prob_TMC: Tensor) -> Tensor:
    """Total predictive variance over dropout samples (Gal and Ghahramani, ICML 2016), mean over the queries.

    Args:
        prob_TMC: class probabilities of T passes with dropout on, shape [T, M, C].

    Returns:
        Scalar: the unbiased variances of the class probabilities, summed over classes, averaged over queries.

    Raises:
        ValueError: fewer than two passes, or no query.
    """
    if prob_TMC.ndim != 3 or prob_TMC.shape[0] < 2 or prob_TMC.shape[1] == 0:
        raise ValueError(f"needs at least two passes over one query, got shape {tuple(prob_TMC.shape)}")
    return prob_TMC.var(dim=0).sum(dim=1).mean()


def fisher_trace(logits_NC: Tensor, features_ND: Tensor) -> Tensor:
    """Mean trace of the last layer's Fisher information over the samples (Kunstner et al., NeurIPS 2019).

    An ablation: Fisher information measures the curvature of the loss, not noise. Labels are drawn from the model,
    so none are needed; the trace of a sample is ||phi||^2 (1 - ||p||^2) in closed form.

    Args:
        logits_NC: class logits, shape [N, C].
        features_ND: inputs of the linear layer that gave them, shape [N, D].

    Returns:
        Scalar.

    Raises:
        ValueError: no sample, or lengths that differ.
    """
    if len(logits_NC) == 0 or len(logits_NC) != len(features_ND):
        raise ValueError(f"{len(logits_NC)} logits and {len(features_ND)} features")
    prob_NC = logits_NC.softmax(dim=1)
    trace_N: Tensor = features_ND.square().sum(dim=1) * (1 - prob_NC.square().sum(dim=1))
    return trace_N.mean()
