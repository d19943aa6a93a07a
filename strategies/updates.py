"""What a node learnt, as rules see it: one group, or the groups of a modality as one mapping of tensors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from concord.functional.sparse import SparseUpdate, concatenated
from concord.wire.groups import Group
from concord.wire.v1 import federation_pb2 as pb
from strategies.checks.reply import Accepted, sparse_of


@dataclass(frozen=True)
class Update:
    """What one node learnt of the tensors that are averaged.

    Attributes:
        node: its name.
        tensors: them after local training, in the node's own rank; empty where it sent a sparse update.
        examples: n_k, training samples behind it.
        variance: sigma_k^2, predictive variance on the anchors (0 where it was not asked for).
        sparse: what to add to the tensors, all of them one after the other, where that is what travels. In a run it does
            for all nodes or for none.
    """

    node: str
    tensors: Mapping[str, Tensor]
    examples: int
    variance: float = 0.0
    sparse: SparseUpdate | None = None


def joined(groups: Mapping[str, Group]) -> dict[str, Tensor]:
    """The tensors of some groups, in order, named ``group/tensor``."""
    return {f"{name}/{key}": tensor for name, group in groups.items() for key, tensor in group.items()}


def parted(tensors: Group) -> dict[str, dict[str, Tensor]]:
    """The groups that were joined."""
    groups: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in tensors.items():
        group, _, key = name.partition("/")
        groups[group][key] = tensor
    return dict(groups)


def update_of(accepted: Accepted, current: Mapping[str, Group]) -> Update | None:
    """What a reply says of the groups in `current`, which counts as if they were one; None where it says nothing.

    A sparse update without one of the groups leaves that as it is. Of the examples claimed for several groups the fewest
    count, of the variances the largest.
    """
    claims = {name: claim for name in current if (claim := accepted.claim_of(name)) is not None}
    if not claims:
        return None
    sent = {name: accepted.groups[name] for name in claims if name in accepted.groups}
    return Update(
        accepted.census.node,
        joined(sent),
        min(claim.examples for claim in claims.values()),
        max(claim.variance for claim in claims.values()),
        None if sent else concatenated([_sparse(claims.get(name), group) for name, group in current.items()]),
    )


def _sparse(claim: pb.GroupClaim | None, group: Group) -> SparseUpdate:
    if claim is not None:
        return sparse_of(claim)
    size = sum(tensor.numel() for tensor in group.values())
    return SparseUpdate(size, torch.empty(0, dtype=torch.int64), torch.empty(0))
