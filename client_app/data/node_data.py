"""What one node holds. Apart from the suites, whose readers are slow to import: a node with data of its own needs none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from concord.samples import Samples


@dataclass(frozen=True)
class NodeData:
    """What one node holds.

    Attributes:
        name: modality and owner, for example ``speech-jackson``.
        train: per modality the training samples; labels that the scenario hides are `NO_LABEL`.
        tests: per split, ``random`` (held-out samples of the owners of nodes) or ``unseen`` (of owners that no node
            has), and modality: this node's shard. The shards of the nodes of a modality are disjoint and cover the
            test set, so that sums over nodes are figures over the whole set.
    """

    name: str
    train: Mapping[str, Samples]
    tests: Mapping[str, Mapping[str, Samples]]
