"""What nodes of every kind say and hear in the same way: a census and a report as they begin, and the groups that came in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from concord.anchors import AnchorSet
from concord.errors import ConcordError
from concord.wire.groups import Group, shapes_from_manifest, unpack
from concord.wire.messages import SCHEMA_VERSION
from concord.wire.v1 import federation_pb2 as pb

Arrays = Mapping[str, NDArray[np.float32]]


def census_of(name: str, anchors: AnchorSet, holdings: Iterable[pb.Holding]) -> pb.Census:
    """What a node of that name has."""
    return pb.Census(
        schema_version=SCHEMA_VERSION,
        app_version=version("concord"),
        node=name,
        anchor_digest=anchors.digest,
        holdings=holdings,
    )


def begin_report(instruction: pb.Instruction, name: str, anchors: AnchorSet) -> pb.Report:
    """The report of a node of that name on its round; ConcordError C303 when the server's anchors are not the node's."""
    if instruction.anchor_digest != anchors.digest:
        raise ConcordError(
            "C303",
            f"node {name}: own anchors {anchors.digest[:12]}, the server's {instruction.anchor_digest[:12]}",
            "copy the server's anchor folder to this node and set `anchors` to it",
        )
    return pb.Report(schema_version=SCHEMA_VERSION, round=instruction.round, node=name, anchor_digest=anchors.digest)


def groups_in(instruction: pb.Instruction, arrays: Arrays) -> dict[str, Group]:
    """The groups that came with an instruction; ConcordError C501 for a malformed one."""
    return {m.group: unpack(arrays[m.group], shapes_from_manifest(m)) for m in instruction.groups if m.group in arrays}
