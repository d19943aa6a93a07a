"""Nodes that answer with something else than what they learnt: a fifth of all, rounded up, in every training round.

- ``sign-flip``: the change of every group, negated.
- ``large-norm``: the change of every group, ten times as large (what is a hundred times as large is rejected anyway).
- ``mimicry``: the change of one honest node, sent by all attackers as their own, so that it counts many times; of each group
  the first honest node that answers in a round (in the round before, for attackers that answer earlier).
- ``absent``: an error, so nothing of theirs counts: the control that tells what is lost with their data alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from flwr.app import Error, Message, MessageType
from numpy.typing import NDArray

from client_app.sparsify import CODINGS
from concord.config import RunConfig
from concord.functional.sparse import SparseUpdate
from concord.seeding import generator_for
from concord.wire.groups import shapes_from_manifest
from concord.wire.records import arrays_from_record, message_from_record, to_record
from concord.wire.sparse import sparse_from_wire, sparse_to_wire
from concord.wire.v1 import federation_pb2 as pb
from server_app.in_process import RAISED, Intercept

Change = NDArray[np.float32]
SHARE = 0.2  # of the nodes
SCALES = {"sign-flip": -1.0, "large-norm": 10.0}
ABSENT = "absent"
ATTACKS = (*SCALES, "mimicry", ABSENT)


def attackers(nodes: int, seed: int) -> set[int]:
    """Ids of the nodes (from 1) that attack, drawn by seed."""
    order = torch.randperm(nodes, generator=generator_for(seed, "attackers"))
    return {int(i) + 1 for i in order[: math.ceil(SHARE * nodes)]}


def attack(kind: str, config: RunConfig, nodes: int) -> Intercept:
    """What stands between the nodes and the server."""
    hostile = attackers(nodes, config.seed)
    honest: dict[str, tuple[int, Change]] = {}  # by group: the round, and the change of its first honest node

    def intercept(node_id: int, message: Message, reply: Message) -> Message:
        if reply.has_error() or not message.metadata.message_type.startswith(MessageType.TRAIN):
            return reply
        round_ = message_from_record(pb.Report, reply.content).round
        if node_id in hostile and kind == ABSENT:
            return Message(Error(RAISED, "absent"), reply_to=message)
        if node_id in hostile:
            swap(message, reply, config, lambda group, change: altered(kind, change, honest.get(group, (0, change))[1]))
        else:
            for group, change in changes(message, reply).items():
                if group not in honest or honest[group][0] < round_:
                    honest[group] = (round_, change)
        return reply

    return intercept


def altered(kind: str, change: Change, honest: Change) -> Change:
    """What an attacker sends instead of its change of a group, knowing that of an honest node."""
    return honest if kind == "mimicry" else SCALES[kind] * change


def changes(message: Message, reply: Message) -> dict[str, Change]:
    """What a reply adds to each group."""
    report, trained = message_from_record(pb.Report, reply.content), arrays_from_record(reply.content)
    before = arrays_from_record(message.content)
    return {
        claim.manifest.group: _sparse(claim).dense().numpy()
        if claim.HasField("sparse")
        else trained[claim.manifest.group] - before[claim.manifest.group]
        for claim in report.groups
    }


def swap(message: Message, reply: Message, config: RunConfig, to: Callable[[str, Change], Change]) -> None:
    """Replaces the change of every group in a reply."""
    report, before = message_from_record(pb.Report, reply.content), arrays_from_record(message.content)
    arrays = {}
    found = changes(message, reply)
    for claim in report.groups:
        group = claim.manifest.group
        change = to(group, found[group]).astype(np.float32)
        if claim.HasField("sparse"):
            claim.sparse.CopyFrom(sparse_to_wire(_as_sparse(change), _sizes(claim), CODINGS[config.update_values]))
        else:
            arrays[group] = before[group] + change
    reply.content = to_record(report, arrays)


def _as_sparse(change: Change) -> SparseUpdate:
    index = np.flatnonzero(change)
    return SparseUpdate(len(change), torch.from_numpy(index), torch.from_numpy(change[index]))


def _sparse(claim: pb.GroupClaim) -> SparseUpdate:
    return sparse_from_wire(claim.sparse, _sizes(claim))


def _sizes(claim: pb.GroupClaim) -> list[int]:
    return [int(np.prod(shape)) for shape in shapes_from_manifest(claim.manifest).values()]
