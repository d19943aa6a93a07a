"""Retrieval between modalities: what of one is nearest to a sample of another, and how well that finds the same class.

Shapes: N queries, M gallery items, D width, K nearest, B queries of a chunk.
"""

from __future__ import annotations

import torch
from torch import Tensor

from concord.functional.rows import unit_rows

POOLED, COORDINATES = "pooled", "anchor-coordinates"  # spaces: embeddings, and their shares of the public anchors
_CHUNK = 1024
_DECIMALS = 12


def nearest(query_ND: Tensor, gallery_MD: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The K <= `k` items of a gallery with the largest cosine to each query, the nearest first.

    Equal cosines rank in the order of the gallery.

    Args:
        query_ND: shape [N, D].
        gallery_MD: shape [M, D].
        k: how many; all of a gallery that has fewer.

    Returns:
        Their rows in the gallery [N, K], int64, and the cosines [N, K], float64.
    """
    cosine_NM = _cosines(query_ND, unit_rows(gallery_MD.double()))
    row_NK = _ranking(cosine_NM)[:, :k]
    return row_NK, cosine_NM.gather(1, row_NK)


def retrieval_scores(
    query_ND: Tensor, query_label_N: Tensor, gallery_MD: Tensor, gallery_label_M: Tensor, k: int = 10
) -> tuple[float, float]:
    """Precision at k and mean average precision of the ranking by cosine.

    An item is relevant if its label is the query's. Equal cosines rank in the order of the gallery. A query
    without a relevant item counts as zero in both figures; where the gallery has fewer than k items, k is their
    number.

    Args:
        query_ND: shape [N, D].
        query_label_N: shape [N], integer.
        gallery_MD: shape [M, D].
        gallery_label_M: shape [M], integer.
        k: depth of the precision.

    Returns:
        (precision at k, mean average precision), both in [0, 1].

    Raises:
        ValueError: no query, an empty gallery, shapes that do not fit, or k below one.
    """
    if len(query_ND) == 0 or len(gallery_MD) == 0 or k < 1:
        raise ValueError(f"retrieval needs queries, a gallery and k >= 1, got {len(query_ND)}, {len(gallery_MD)} and k = {k}")
    if len(query_ND) != len(query_label_N) or len(gallery_MD) != len(gallery_label_M):
        labels = (len(query_label_N), len(gallery_label_M))
        raise ValueError(f"{labels} labels for {(len(query_ND), len(gallery_MD))} queries and items")
    unit_MD = unit_rows(gallery_MD.double())
    rank_M = torch.arange(1, len(gallery_MD) + 1, dtype=torch.float64, device=gallery_MD.device)
    precision_sum = average_precision_sum = 0.0
    for chunk_BD, label_B in zip(torch.split(query_ND, _CHUNK), torch.split(query_label_N, _CHUNK), strict=True):
        ranking_BM = _ranking(_cosines(chunk_BD, unit_MD))
        relevant_BM = (gallery_label_M[ranking_BM] == label_B[:, None]).double()
        precision_BM = relevant_BM.cumsum(dim=1) / rank_M
        average_precision_B = (precision_BM * relevant_BM).sum(dim=1) / relevant_BM.sum(dim=1).clamp(min=1)
        precision_sum += float(relevant_BM[:, :k].mean(dim=1).sum())
        average_precision_sum += float(average_precision_B.sum())
    return precision_sum / len(query_ND), average_precision_sum / len(query_ND)


def _cosines(query_BD: Tensor, unit_MD: Tensor) -> Tensor:
    """Cosines [B, M] with rows of length one, float64; rounded, so that rounding errors break no ties."""
    return (unit_rows(query_BD.double()) @ unit_MD.T).round(decimals=_DECIMALS)


def _ranking(cosine_BM: Tensor) -> Tensor:
    """Rows of the gallery [B, M] by falling cosine."""
    return cosine_BM.argsort(dim=1, descending=True, stable=True)
