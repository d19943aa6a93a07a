"""What a good reply of a node looks like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from concord.anchors import AnchorSet
from concord.wire.groups import Group
from concord.wire.v1 import federation_pb2 as pb


@dataclass(frozen=True)
class Expectation:
    """What a good reply of one node looks like.

    Attributes:
        census: what the node said it has.
        round_: the round it was asked in.
        sent: the groups it was sent, in its own rank.
        anchors: the run's anchors.
        width: dimension D of the shared space.
        norm_bound: largest L2 norm of a group's change, and of a class prototype.
        needs_variance: whether each group must claim a variance.
        figures: names under which it may report how well it predicts.
        questions: kinds of questions that it may report the ranks of answers to.
        sparse: whether groups come as sparse updates.
        shares_embeddings: whether it may send embeddings of its tests.
        tells_prototypes: whether it may tell class prototypes.
        semantic: anchors and width of the shared space of a graph, whose moments it tells; None: it tells none.
        tells_class_means: whether it may tell class means of the features of a graph.
        tells_homophily: whether it tells how the nodes of a graph listen to their neighbours.
    """

    census: pb.Census
    round_: int
    sent: Mapping[str, Group]
    anchors: AnchorSet
    width: int
    norm_bound: float
    needs_variance: bool
    figures: frozenset[str]
    questions: frozenset[str] = frozenset()
    sparse: bool = False
    shares_embeddings: bool = False
    tells_prototypes: bool = False
    semantic: tuple[int, int] | None = None
    tells_class_means: bool = False
    tells_homophily: bool = False
