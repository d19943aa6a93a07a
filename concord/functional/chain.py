"""Chained modality optimisation: losses that ask a modality for what the earlier ones lack, and the order of the chain.

FedMChain (Zhang et al., arXiv 2606.01856) describes an error-compensated regulariser in words; the formulas here are
reconstructed from its nearest published relatives.

Legend: B batch, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Order = Literal["fixed", "weakest-first", "learning-speed"]


def residual_weighting(logits_BC: Tensor, context_BC: Tensor, y_B: Tensor) -> Tensor:
    """mean(softmax(F)_y log p_y): takes weight from the samples that the earlier modalities already get right.

    Added to the cross-entropy with a weight w < 1 it makes the loss of a sample (1 - w softmax(F)_y) times its
    cross-entropy, which is never negative. Source: reconstructed, after ReconBoost (Hua et al., ICML 2024).

    Args:
        logits_BC: of the modality that is trained.
        context_BC: F, summed logits of the earlier ones; no gradient flows into them.
        y_B: classes.
    """
    right_B = context_BC.detach().softmax(1).gather(1, y_B[:, None])[:, 0]
    return -(right_B * F.cross_entropy(logits_BC, y_B, reduction="none")).mean()


def additive_boosting(logits_BC: Tensor, context_BC: Tensor, y_B: Tensor) -> Tensor:
    """Cross-entropy of f_m + sg(F): the modality learns what is missing from the sum. Source: reconstructed (boosting).

    Args: as `residual_weighting`.
    """
    return F.cross_entropy(logits_BC + context_BC.detach(), y_B)


def chain_order(modalities: Sequence[str], order: Order, now: Mapping[str, float], before: Mapping[str, float]) -> list[str]:
    """The modalities of a node in the order of their phases.

    Args:
        modalities: in the order of the suite, which breaks ties.
        order: ``fixed``: as they are; ``weakest-first``: the highest loss first; ``learning-speed``: the one whose loss
            fell by the smallest share since the round before first, and as they are where there was none.
        now: mean training loss of each modality by itself.
        before: the same, a round earlier; empty in the first.
    """
    if order == "fixed" or (order == "learning-speed" and not set(modalities) <= before.keys()):
        return list(modalities)
    if order == "weakest-first":
        return sorted(modalities, key=lambda m: -now[m])
    return sorted(modalities, key=lambda m: 1 - now[m] / max(before[m], torch.finfo(torch.float32).tiny))
