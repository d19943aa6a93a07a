"""Class prototypes (FedProto: Tan et al., AAAI 2022) and coordinates with respect to public anchors.

Shapes: N samples, C classes or concepts, D width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from concord.functional.rows import group_means, unit_rows


def class_prototypes(z_ND: Tensor, y_N: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Mean embedding of each class (FedProto).

    Args:
        z_ND: embeddings, shape [N, D].
        y_N: class of each sample, shape [N], int64; samples below zero have no label and are ignored.
        classes: number of classes C.

    Returns:
        Prototypes [C, D], zero for a class without a sample, and counts [C], int64.

    Raises:
        ValueError: a class is not below `classes`, or the lengths differ.
    """
    if len(z_ND) != len(y_N):
        raise ValueError(f"{len(z_ND)} embeddings but {len(y_N)} labels")
    labelled_N = y_N >= 0
    return group_means(z_ND[labelled_N], y_N[labelled_N], classes)


def aggregate_prototypes(
    protos: Sequence[Tensor], counts: Sequence[Tensor], previous_CD: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Mean prototype of each class over the nodes that have the class, by count (FedProto).

    Args:
        protos: prototypes [C, D] of each node.
        counts: samples [C] of each class at each node; a class of count zero has no say.
        previous_CD: global prototypes of the round before, shape [C, D], kept for a class that no node has;
            a zero row means that there is none.

    Returns:
        Prototypes [C, D] and the mask [C] of the classes that have one.

    Raises:
        ValueError: no node, shapes that do not fit, or a negative count.
    """
    if not protos or len(protos) != len(counts):
        raise ValueError(f"{len(protos)} sets of prototypes and {len(counts)} of counts")
    if len({p.shape for p in protos}) != 1 or any(c.shape != p.shape[:1] for p, c in zip(protos, counts, strict=True)):
        raise ValueError(f"prototypes {[tuple(p.shape) for p in protos]} do not fit counts {[tuple(c.shape) for c in counts]}")
    count_KC = torch.stack(tuple(counts))
    if bool((count_KC < 0).any()):
        raise ValueError(f"counts must not be negative, got {count_KC.tolist()}")
    mask_C = (count_KC > 0).any(dim=0)
    share_KC1 = (count_KC / count_KC.sum(dim=0).masked_fill(~mask_C, 1)).to(protos[0].dtype)[:, :, None]
    proto_CD = (torch.stack(tuple(protos)).masked_fill(share_KC1 == 0, 0) * share_KC1).sum(dim=0)
    if previous_CD is None:
        return proto_CD, mask_C
    return torch.where(mask_C[:, None], proto_CD, previous_CD), mask_C | previous_CD.ne(0).any(dim=1)


def prototype_loss(z_ND: Tensor, y_N: Tensor, proto_CD: Tensor, mask_C: Tensor) -> Tensor:
    """Mean squared distance of the samples to the prototypes of their classes (FedProto).

    The mean is over samples and coordinates, as in the authors' code, so that its weight does not depend on D.

    Args:
        z_ND: embeddings, shape [N, D].
        y_N: class of each sample, shape [N], int64; below zero where it is not known.
        proto_CD: prototypes, shape [C, D].
        mask_C: classes that have a prototype, shape [C], bool.

    Returns:
        Scalar; zero, but part of the graph, if no sample's class has a prototype.

    Raises:
        IndexError: a class is not below C.
    """
    target_N = y_N.clamp(min=0)
    usable_N = (y_N >= 0) & mask_C[target_N]
    squared = (z_ND[usable_N] - proto_CD[target_N[usable_N]]).square()
    return squared.sum() / max(squared.numel(), 1)


def anchor_coordinates(z_ND: Tensor, anchor_CD: Tensor, mask_C: Tensor) -> Tensor:
    """Cosines of samples to the anchors (relative representations: Moschella et al., ICLR 2023). Differentiable.

    Args:
        z_ND: embeddings, shape [N, D].
        anchor_CD: one row a concept, shape [C, D]; masked rows are never read.
        mask_C: concepts present, shape [C], bool.

    Returns:
        Cosines, shape [N, C]; masked concepts are zero.
    """
    return unit_rows(z_ND) @ unit_rows(anchor_CD.masked_fill(~mask_C[:, None], 0)).T


def anchor_assignment(z_ND: Tensor, anchor_CD: Tensor, mask_C: Tensor, temperature: float = 0.1) -> Tensor:
    """Anchor coordinates as shares that sum to one, softmax of the similarities over the concepts present, shape [N, C].

    Sharper than the similarities themselves: the nearest concepts count, the distances to all others hardly do. Source: ours.

    Args:
        z_ND: embeddings, shape [N, D].
        anchor_CD: one anchor a concept, shape [C, D].
        mask_C: concepts present, at least one, shape [C], bool.
        temperature: of the softmax; cosines differ by at most 2.
    """
    similarity_NC = anchor_coordinates(z_ND, anchor_CD, mask_C) / temperature
    return similarity_NC.masked_fill(~mask_C, -torch.inf).softmax(1)
