"""What one node holds. Apart from the suites, whose readers are slow to import: a node with data of its own needs none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from concord.samples import Samples

POOLED = "centralised"  # name of the one node that holds what all nodes hold


@dataclass(frozen=True)
class NodeData:
    """What one node holds.

    Attributes:
        name: modality and owner, for example ``speech-jackson``; in a suite of pairs what the suite calls it.
        train: per modality the training samples; labels that the scenario hides are `NO_LABEL`. In a suite of pairs the
            ids of all modalities are the same, in the same order: samples with the same id are one instance.
        tests: per split, ``random`` (held-out samples of the owners of nodes) or ``unseen`` (of owners that no node
            has), and modality: this node's shard. The shards of the nodes of a modality are disjoint and cover the
            test set, so that sums over nodes are figures over the whole set. In a suite with `whole_tests` every node has
            the whole of ``unseen`` instead, and of ``random`` its own part, in the modalities that it holds: figures there
            are each node's own.
        joint: per split the ids of the instances on which the node's fused prediction, from all the modalities that it
            holds, is measured. Each id is in the node's tests of all its modalities; the parts of all nodes are disjoint
            and cover the instances of the split, but for ``unseen`` with `whole_tests`. Empty in suites without pairs.
    """

    name: str
    train: Mapping[str, Samples]
    tests: Mapping[str, Mapping[str, Samples]]
    joint: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def sizes(self) -> dict[str, int]:
        """Training samples of each modality."""
        return {modality: len(samples) for modality, samples in self.train.items()}
