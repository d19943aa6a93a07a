"""The plane in which points differ most: principal component analysis (Pearson 1901).

Legend: N points, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from concord.functional.rows import dominant_signs


def principal_plane(point_ND: Tensor, weight_N: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The weighted mean of points and the two directions in which they vary most, D >= 2.

    The coordinates of p in the plane are ``axis @ (p - mean)``. The largest entry of an axis is positive, so that the same
    points always give the same picture.

    Args:
        point_ND: points, not empty.
        weight_N: how much each counts, above 0.

    Returns:
        Mean [D], orthonormal axes [2, D], and the share of the variance along each [2], 0 where all points are the same.
    """
    share_N = (weight_N / weight_N.sum()).double()
    mean_D = share_N @ point_ND.double()
    apart_ND = point_ND.double() - mean_D
    axis_DD, variance_D, _ = torch.linalg.svd(apart_ND.T @ (share_N[:, None] * apart_ND))
    axis_2D = axis_DD.T[:2]
    total = variance_D.sum()
    told_2 = variance_D[:2] / total if float(total) > 0 else torch.zeros(2, dtype=torch.float64)
    return mean_D, axis_2D * dominant_signs(axis_2D)[:, None], told_2
