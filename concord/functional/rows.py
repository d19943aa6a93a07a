"""Row operations that the other modules share.

Shapes: N rows, D width, G groups.
"""

from __future__ import annotations

import torch
from torch import Tensor


def unit_rows(z_ND: Tensor) -> Tensor:
    """Rows scaled to Euclidean norm one; zero rows stay zero, with a zero gradient.

    Args:
        z_ND: rows, shape [N, D], floating point.
    """
    norm_N1 = torch.linalg.vector_norm(z_ND, dim=1, keepdim=True)
    is_zero_N1 = norm_N1 == 0
    unit_ND: Tensor = z_ND / norm_N1.masked_fill(is_zero_N1, 1)
    return unit_ND.masked_fill(is_zero_N1, 0)


def group_means(z_ND: Tensor, group_N: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Mean row and number of rows of each group; differentiable, and deterministic on CUDA too.

    Args:
        z_ND: rows, shape [N, D].
        group_N: the group of each row, shape [N], int64 in [0, groups).
        groups: number of groups G.

    Returns:
        Means [G, D], zero for a group without a row, and counts [G], int64.

    Raises:
        ValueError: a group is out of range, or the lengths differ.
    """
    if len(z_ND) != len(group_N):
        raise ValueError(f"{len(z_ND)} rows but {len(group_N)} group numbers")
    if bool(((group_N < 0) | (group_N >= groups)).any()):
        raise ValueError(f"group numbers must lie in [0, {groups}), got {group_N.min().item()} to {group_N.max().item()}")
    member_GN = group_N == torch.arange(groups, device=group_N.device)[:, None]
    count_G = member_GN.sum(dim=1)
    return member_GN.to(z_ND.dtype) @ z_ND / count_G.clamp(min=1)[:, None], count_G


def dominant_signs(z_ND: Tensor) -> Tensor:
    """Sign of the entry of largest magnitude of each row, shape [N], one for a zero row.

    Multiplying singular vectors by it makes their arbitrary signs a convention.
    """
    dominant_N = z_ND.gather(1, z_ND.abs().argmax(dim=1, keepdim=True)).squeeze(1)
    return torch.where(dominant_N < 0, -1.0, 1.0).to(z_ND.dtype)
