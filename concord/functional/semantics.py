"""Translating node features into a space of shared anchors: STAGE (Chen et al., arXiv 2605.11919), reconstructed.

A party describes each node by its shares q of K frozen anchors A, the same everywhere, and tells others only how much mass
and which mean its features have at each anchor. Published: calibration by a KL term, a global table of anchor prototypes
kept by a moving average, InfoNCE against false agreement, entropy regularisation. Reconstructed: the exact forms, one a
function; that an anchor to which nobody gives mass keeps its prototype is stated in the reconstruction too.

Legend: N nodes, M modalities, K anchors, D width, P parties.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from concord.functional.precision import capping_factors
from concord.functional.rows import unit_rows

TINY_MASS = 1e-6  # of an anchor, in nodes: below it a mean says nothing
LONGEST = 4.0  # medians of the lengths of parties' means at an anchor; among honest parties of the suites below 2.7


def semantic_anchors(anchors: int, width: int, generator: Generator) -> Tensor:
    """Frozen anchor directions A [K, D] of length one: random, orthogonal to each other where K <= D, else by blocks of D."""
    blocks: list[Tensor] = [torch.linalg.qr(torch.randn(width, width, generator=generator))[0] for _ in range(0, anchors, width)]
    return torch.cat(blocks)[:anchors]


def shares(u_ND: Tensor, anchor_KD: Tensor, temperature: float) -> Tensor:
    """q [N, K]: softmax over the anchors of their cosine with each row of u, divided by the temperature."""
    cosine_NK = unit_rows(u_ND) @ unit_rows(anchor_KD).T
    return torch.softmax(cosine_NK / temperature, dim=1)


def mean_shares(q_MNK: Tensor, present_MN: Tensor) -> Tensor:
    """Mean of the shares [N, K] over the modalities that a node has; uniform for a node that has none."""
    weight_MN1 = present_MN.to(q_MNK.dtype)[..., None]
    count_N1 = weight_MN1.sum(0)
    mean_NK: Tensor = (q_MNK * weight_MN1).sum(0) / count_N1.clamp(min=1)
    uniform_NK = torch.full_like(mean_NK, 1 / q_MNK.shape[-1])
    return torch.where(count_N1 > 0, mean_NK, uniform_NK)


def entropy(q_NK: Tensor) -> Tensor:
    """Entropy [N] of each row in nats."""
    entropy_N: Tensor = torch.special.entr(q_NK).sum(dim=-1)
    return entropy_N


def calibration_loss(q_NK: Tensor, prior_K: Tensor) -> Tensor:
    """L_vsc: mean over nodes of KL(q || prior), in nats."""
    return (-entropy(q_NK) - (q_NK * prior_K.log()).sum(dim=1)).mean()


def usage_loss(q_NK: Tensor) -> Tensor:
    """L_ent: minus the entropy of the mean share: least where all anchors are used alike."""
    return -entropy(q_NK.mean(dim=0))


def agreement_loss(z_ND: Tensor, q_NK: Tensor, prototype_KD: Tensor, mask_K: Tensor, temperature: float) -> Tensor:
    """L_nce: mean over nodes of -log softmax_k(cos(z, G_k) / temperature) at the node's anchor of the largest share.

    Args:
        mask_K: anchors that have a prototype; others are no alternative, and nodes whose anchor has none do not count.

    Returns:
        A scalar; 0 where no node counts.
    """
    cosine_NK = (unit_rows(z_ND) @ unit_rows(prototype_KD).T / temperature).masked_fill(~mask_K, -torch.inf)
    own_N = q_NK.argmax(dim=1)
    counts_N = mask_K[own_N]
    if not bool(counts_N.any()):
        return z_ND.sum() * 0
    return F.cross_entropy(cosine_NK[counts_N], own_N[counts_N])


def anchor_moments(u_ND: Tensor, q_NK: Tensor) -> tuple[Tensor, Tensor]:
    """What a party tells of its nodes: means P [K, D] of u weighted by the shares, and masses [K], in nodes.

    Means are zero where the mass is below `TINY_MASS`.
    """
    mass_K = q_NK.sum(dim=0)
    known_K1 = (mass_K >= TINY_MASS)[:, None]
    mean_KD = torch.where(known_K1, q_NK.T @ u_ND / mass_K.clamp(min=TINY_MASS)[:, None], 0)
    return mean_KD, torch.where(known_K1[:, 0], mass_K, 0)


def bounded_moments(means: Sequence[Tensor], masses: Sequence[Tensor], cap: float) -> tuple[Tensor, Tensor]:
    """Moments of which no party sets the table alone. Source: ours.

    A mean is cut to `LONGEST` medians of the lengths that means of parties have at its anchor; the masses of a party, to the cap
    on its share of all mass. Moments within both bounds stay as they are.

    Args:
        means: P [K, D] of each party.
        masses: [K] of each party.
        cap: largest share of one party, relaxed where so few parties cannot meet it.

    Returns:
        Means [P, K, D] and masses [P, K].
    """
    mean_PKD, mass_PK = torch.stack(tuple(means)), torch.stack(tuple(masses))
    length_PK = torch.linalg.vector_norm(mean_PKD, dim=2)
    longest_K = LONGEST * length_PK.masked_fill(mass_PK < TINY_MASS, torch.nan).nanmedian(dim=0).values
    cut_PKD = mean_PKD * (longest_K / length_PK.clamp(min=torch.finfo(length_PK.dtype).tiny))[..., None]
    factor_P1 = capping_factors(mass_PK.sum(dim=1), cap).to(mass_PK.dtype)[:, None]
    return torch.where((length_PK > longest_K)[..., None], cut_PKD, mean_PKD), mass_PK * factor_P1


def merge_prototypes(
    means: Sequence[Tensor], masses: Sequence[Tensor], previous_KD: Tensor, mask_K: Tensor, inertia: float
) -> tuple[Tensor, Tensor]:
    """G <- inertia G + (1 - inertia) (mean over parties by mass), anchor by anchor.

    An anchor without mass keeps its prototype; one that had none takes the mean as it is.

    Args:
        means: P [K, D] of each party.
        masses: [K] of each party.
        previous_KD: G.
        mask_K: anchors that have a prototype in it.
        inertia: alpha, from 0 to below 1.

    Returns:
        The new G [K, D] and its mask [K].

    Raises:
        ValueError: no party, or a negative mass.
    """
    if not means or len(means) != len(masses):
        raise ValueError(f"{len(means)} sets of means and {len(masses)} of masses")
    mass_PK = torch.stack(tuple(masses))
    if bool((mass_PK < 0).any()):
        raise ValueError("a mass is negative")
    mass_K = mass_PK.sum(dim=0)
    fresh_K = mass_K >= TINY_MASS
    mean_KD = (torch.stack(tuple(means)) * mass_PK[..., None]).sum(dim=0) / mass_K.clamp(min=TINY_MASS)[:, None]
    weight_K1 = torch.where(mask_K, inertia, 0.0).to(previous_KD.dtype)[:, None]
    moved_KD = weight_K1 * previous_KD + (1 - weight_K1) * mean_KD.to(previous_KD.dtype)
    return torch.where(fresh_K[:, None], moved_KD, previous_KD), mask_K | fresh_K


def distance_to_table(mean_PKD: Tensor, mass_PK: Tensor, prototype_KD: Tensor) -> float:
    """Mean distance, by mass, from the direction of a party's mean at an anchor to that of the anchor's prototype.

    Directions are all that is used of a prototype. Source: ours.

    Returns:
        From 0, all alike, to 2; NaN where there is no mass.
    """
    directions_PKD = unit_rows(mean_PKD.flatten(0, 1).double()).view(mean_PKD.shape)
    distance_PK = torch.linalg.vector_norm(directions_PKD - unit_rows(prototype_KD.double()), dim=-1)
    return float((distance_PK * mass_PK).sum() / mass_PK.sum())
