"""Whether a node can take part: what it says it has is hostile until proven good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version

from concord.agreement import offer_problem
from concord.anchors import AnchorSet
from concord.names import bare_name, name_problem
from concord.wire.messages import MOST_EXAMPLES
from concord.wire.v1 import federation_pb2 as pb
from strategies.checks.rejection import Reason, Rejected


def check_census(census: pb.Census, anchors: AnchorSet, encoders: Mapping[str, str], others: Sequence[pb.Census]) -> None:
    """Whether a node can take part, on these anchors and encoders, beside these others; Rejected otherwise."""
    if census.app_version != version("concord"):
        raise Rejected(
            Reason.OTHER_VERSION,
            f"it has Concord {census.app_version or 'of no version'}, the server {version('concord')}: install the server's",
        )
    if census.anchor_digest != anchors.digest:
        raise Rejected(
            Reason.OTHER_ANCHORS,
            f"its anchors are {census.anchor_digest[:12]}, the run's {anchors.digest[:12]}: "
            "copy the server's anchor folder to it",
        )
    if problem := name_problem(census.node):
        raise Rejected(Reason.UNDECODABLE, f"{problem}: call the node, or its folder, otherwise")
    if not sum(holding.examples for holding in census.holdings):
        raise Rejected(Reason.NO_DATA, "it holds no training sample: check its data folder")
    if len({holding.modality for holding in census.holdings}) != len(census.holdings):
        raise Rejected(Reason.UNKNOWN_MODALITY, f"its census names {len(census.holdings)} modalities, and one of them twice")
    for holding in census.holdings:
        if not holding.labelled <= holding.examples <= MOST_EXAMPLES:
            what = f"{holding.examples} samples of {holding.modality!r}, {holding.labelled} of them with a label"
            raise Rejected(Reason.CLAIMED_EXAMPLES, f"its census says {what}")
    known = {modality for modality, samples in anchors.modalities.items() if len(samples) or anchors.of_graphs}
    unknown = [h.modality for h in census.holdings if h.modality not in known]
    if unknown:
        raise Rejected(Reason.NO_DATA, f"the anchor set has no {', '.join(unknown)}")
    for holding in census.holdings:
        if encoders.get(holding.modality, holding.encoder) != holding.encoder:
            detail = f"{holding.modality} by {holding.encoder!r}, the model's is {encoders[holding.modality]!r}"
            raise Rejected(Reason.OTHER_ENCODER, f"{detail}: install the server's version of Concord on the node")
    if problem := offer_problem(census.slices):
        raise Rejected(Reason.UNKNOWN_GROUP, f"it offers {problem}")
    if any(bare_name(other.node) == bare_name(census.node) for other in others):
        raise Rejected(Reason.DUPLICATE_NAME, f"another node is called {census.node!r}")
