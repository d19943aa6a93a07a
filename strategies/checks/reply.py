"""Replies are hostile until proven good. A reply that fails is left out with a typed reason; it never ends the run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from flwr.app import Message
from torch import Tensor

from concord.functional.sparse import SparseUpdate, l2_norm
from concord.wire.groups import Group, modality_of, shapes_from_manifest, shapes_of, unpack
from concord.wire.messages import WireError
from concord.wire.records import arrays_from_record, message_from_record
from concord.wire.sparse import sparse_from_wire
from concord.wire.v1 import federation_pb2 as pb
from strategies.checks.expectation import Expectation
from strategies.checks.figures import check_figures
from strategies.checks.rejection import Reason, Rejected


@dataclass(frozen=True)
class Accepted:
    """A reply that counts: the report, and the groups in it that travelled whole.

    Sparse updates stay as they came, in a tenth of the memory, until they are averaged: see `sparse_of`.
    """

    census: pb.Census
    report: pb.Report
    groups: Mapping[str, dict[str, Tensor]]

    def claim_of(self, group: str) -> pb.GroupClaim | None:
        """What the report says of a group, None where it has none."""
        return next((claim for claim in self.report.groups if claim.manifest.group == group), None)


def sparse_of(claim: pb.GroupClaim) -> SparseUpdate:
    """The sparse update in a claim whose manifest is that of the group; WireError where it is none."""
    return sparse_from_wire(claim.sparse, [math.prod(shape) for shape in shapes_from_manifest(claim.manifest).values()])


def read_reply(reply: Message, expected: Expectation) -> Accepted:
    """Reads and checks one reply.

    Raises:
        Rejected: with the first reason found.
    """
    if reply.has_error():
        raise Rejected(Reason.NODE_ERROR, f"code {reply.error.code}: {reply.error.reason}")
    try:
        report = message_from_record(pb.Report, reply.content)
        arrays = arrays_from_record(reply.content)
        check_identity(report, expected)
        check_figures(report, expected)
    except WireError as error:
        raise Rejected(Reason.UNDECODABLE, error.message) from error
    claims = {claim.manifest.group: claim for claim in report.groups}
    if any(claim.HasField("sparse") != expected.sparse for claim in report.groups):
        raise Rejected(Reason.UNDECODABLE, f"sparse updates {'were' if expected.sparse else 'were not'} asked for")
    if len(claims) != len(report.groups) or (set() if expected.sparse else claims.keys()) != arrays.keys():
        raise Rejected(Reason.UNDECODABLE, f"claims for {sorted(claims)} with arrays for {sorted(arrays)}")
    groups: dict[str, dict[str, Tensor]] = {}
    for name, claim in claims.items():
        if name not in expected.sent:
            raise Rejected(Reason.UNKNOWN_GROUP, f"group {name!r} was not asked for; asked: {sorted(expected.sent)}")
        _check_claim(claim, expected)
        try:
            shapes = shapes_from_manifest(claim.manifest)  # in the node's order, in which its array is
            known = shapes_of(expected.sent[name])
            if shapes != known or (expected.sparse and list(shapes) != list(known)):
                raise Rejected(Reason.WRONG_SHAPE, f"group {name!r}: the manifest names other tensors or shapes than were sent")
            if expected.sparse:
                _check_norm(name, l2_norm(sparse_of(claim)), expected)
            else:
                groups[name] = unpack(arrays[name], shapes)
                _check_update(name, groups[name], expected)
        except WireError as error:
            raise Rejected(Reason.WRONG_SHAPE, f"group {name!r}: {error.message}") from error
    return Accepted(expected.census, report, groups)


def check_identity(report: pb.Report, expected: Expectation) -> None:
    """Whether a report is this node's, for this round, on these anchors; Rejected otherwise."""
    if report.node != expected.census.node:
        raise Rejected(Reason.OTHER_NODE, f"a report signed {report.node!r}")
    if report.round != expected.round_:
        raise Rejected(Reason.OTHER_ROUND, f"a report of round {report.round} in round {expected.round_}")
    if report.anchor_digest != expected.anchors.digest:
        raise Rejected(Reason.OTHER_ANCHORS, f"anchors {report.anchor_digest[:12]}, the run's {expected.anchors.digest[:12]}")
    if report.needs_base:
        raise Rejected(Reason.NEEDS_BASE, "the trunk base was not on the node's disk; it is sent again with the next round")


def _check_claim(claim: pb.GroupClaim, expected: Expectation) -> None:
    modality = modality_of(claim.manifest.group)
    most = sum(h.examples for h in expected.census.holdings if not modality or h.modality == modality)
    if claim.examples > most:
        raise Rejected(
            Reason.CLAIMED_EXAMPLES, f"group {claim.manifest.group!r}: {claim.examples} examples, its census says {most}"
        )
    if expected.needs_variance and not (math.isfinite(claim.variance) and claim.variance > 0):
        raise Rejected(Reason.CLAIMED_PRECISION, f"group {claim.manifest.group!r}: a predictive variance of {claim.variance}")


def _check_update(name: str, tensors: Group, expected: Expectation) -> None:
    square = 0.0
    for key, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise Rejected(Reason.NOT_FINITE, f"group {name!r}, tensor {key!r} has a value that is not finite")
        square += float((tensor.double() - expected.sent[name][key].double()).square().sum())
    _check_norm(name, math.sqrt(square), expected)


def _check_norm(name: str, norm: float, expected: Expectation) -> None:
    if norm > expected.norm_bound:
        raise Rejected(Reason.LARGE_NORM, f"group {name!r} changed by {norm:.4g}, the bound is {expected.norm_bound:.4g}")
