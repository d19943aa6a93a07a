"""The frame: the consensus of the Grams as directions that every node can be drawn to. Source: ours.

A Gram leaves the rotation of the space open. The frame fixes one, the same for all nodes: a unit vector a concept
whose cosines are those of the consensus. For a node it is a classifier that all share and none owns.

Shapes: N rows, C concepts, D width, P concepts present, E dimensions of a configuration.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from concord.functional.gram import centre, present_pairs
from concord.functional.lowrank import orthonormal_rows
from concord.functional.rows import dominant_signs, unit_rows

_SEED = 0
_NEVER = -1e9  # logit of a concept that is not there


def frame(consensus_CC: Tensor, mask_C: Tensor, dim: int, previous_CD: Tensor | None = None) -> Tensor:
    """A unit vector a concept whose cosines show the consensus: the shared space made concrete.

    Classical multidimensional scaling of the centred consensus, eigenvectors times the square roots of the
    positive eigenvalues. It is cut to the leading `dim` dimensions where it has more, mapped isometrically into
    R^dim and its rows are normalised. The map is the one that brings the frame nearest to `previous_CD` (orthogonal
    Procrustes, Schoenemann 1966), or a fixed one if there is none. Not differentiable.

    Args:
        consensus_CC: consensus Gram, shape [C, C].
        mask_C: rows that the consensus covers, shape [C], bool.
        dim: width D of the frame.
        previous_CD: the frame of the round before, shape [C, D]; zero rows have no say.

    Returns:
        Frame [C, D]; masked rows are zero, and so are all rows where the consensus is constant.

    Raises:
        ValueError: `dim` is not positive, or the shapes do not fit.
    """
    if dim < 1:
        raise ValueError(f"a frame needs at least one dimension, got {dim}")
    if previous_CD is not None and previous_CD.shape != (len(mask_C), dim):
        raise ValueError(f"previous frame has shape {tuple(previous_CD.shape)}, expected {(len(mask_C), dim)}")
    present_pairs(consensus_CC, mask_C)
    frame_CD = consensus_CC.new_zeros(len(mask_C), dim)
    if not bool(mask_C.any()):
        return frame_CD
    point_PE = unit_rows(_classical_scaling(consensus_CC.detach()[mask_C][:, mask_C], dim))
    if previous_CD is None:
        map_ED = orthonormal_rows(point_PE.shape[1], dim, torch.Generator().manual_seed(_SEED)).to(point_PE)
    else:
        u_EE, _, vh_ED = torch.linalg.svd(point_PE.T @ previous_CD.detach()[mask_C].to(point_PE), full_matrices=False)
        map_ED = u_EE @ vh_ED
    frame_CD[mask_C] = (point_PE @ map_ED).to(consensus_CC.dtype)
    return frame_CD


def frame_cross_entropy(z_ND: Tensor, concept_N: Tensor, frame_CD: Tensor, mask_C: Tensor, scale: float) -> Tensor:
    """Mean cross-entropy of softmax(scale cos(z, frame)) over the rows of a concept that the frame knows.

    A low scale keeps the loss from saturating: it goes on pulling a row to the direction of its concept and away from
    the others. The form is that of NormFace (Wang et al., ACM MM 2017), with directions that are agreed on, not learnt.

    Args:
        z_ND: embeddings, shape [N, D].
        concept_N: concept of each row, shape [N], int64 in [0, C).
        frame_CD: unit directions, shape [C, D].
        mask_C: directions that are known, shape [C], bool.
        scale: inverse temperature of the softmax, above 0.

    Returns:
        Scalar; 0, with a zero gradient, where no row is of a known concept.
    """
    logits_NC = (scale * unit_rows(z_ND) @ frame_CD.T).masked_fill(~mask_C, _NEVER)
    known_N = mask_C[concept_N].to(z_ND.dtype)
    return (F.cross_entropy(logits_NC, concept_N, reduction="none") * known_N).sum() / known_N.sum().clamp_min(1)


def frame_distance(z_ND: Tensor, concept_N: Tensor, frame_CD: Tensor, mask_C: Tensor) -> Tensor:
    """Mean of 1 - cos between rows and the direction of their concept; arguments as in `frame_cross_entropy`."""
    known_N = mask_C[concept_N].to(z_ND.dtype)
    distance_N = 1 - F.cosine_similarity(z_ND, frame_CD[concept_N], dim=1)
    return (distance_N * known_N).sum() / known_N.sum().clamp_min(1)


def _classical_scaling(gram_PP: Tensor, dim: int) -> Tensor:
    """The leading min(P, dim) principal coordinates of a Gram, shape [P, E], in float64 and with signs by convention."""
    everyone_P = torch.ones(len(gram_PP), dtype=torch.bool, device=gram_PP.device)
    eigenvalue_P, vector_PP = torch.linalg.eigh(centre(gram_PP.double(), everyone_P))
    eigenvalue_E, vector_EP = eigenvalue_P.flip(0)[:dim], vector_PP.T.flip(0)[:dim]
    rounding = len(gram_PP) * torch.finfo(gram_PP.dtype).eps * torch.linalg.vector_norm(gram_PP)
    scale_E = torch.where(eigenvalue_E > rounding, eigenvalue_E, 0).sqrt() * dominant_signs(vector_EP)
    point_PE: Tensor = vector_EP.T * scale_E
    return point_PE
