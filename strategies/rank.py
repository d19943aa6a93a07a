"""Groups in the rank of a node: components are ordered, so the first r of them are the best adapter of rank r.

Legend: R rank, O outputs, I inputs.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def at_rank(group: Mapping[str, Tensor], rank: int) -> dict[str, Tensor]:
    """The trunk group with every factor B [O, R] and A [R, I] cut to `rank` components; other tensors as they are."""
    return {name: _cut(name, tensor, rank) for name, tensor in group.items()}


def _cut(name: str, tensor: Tensor, rank: int) -> Tensor:
    if name.endswith(".a"):
        return tensor[:rank]
    return tensor[:, :rank] if name.endswith(".b") else tensor
