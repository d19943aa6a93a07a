"""STAGE (Chen et al., arXiv 2605.11919), server side: a table of anchor prototypes, and no model.

Parties send means and masses at the anchors; the table moves towards their mean by mass and goes to all (reconstructed). Where
classes are learnt, parties exchange class means of their features too (ours).

Legend: K anchors, D width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from concord.anchors import AnchorSet
from concord.config import RunConfig
from concord.functional.semantics import bounded_moments, merge_prototypes
from concord.wire.moments import moments_from_wire, moments_to_wire
from concord.wire.v1 import federation_pb2 as pb
from strategies.class_means import ClassMeans
from strategies.consensus import Consensus, Together
from strategies.plan import NoGroups
from strategies.state import GlobalState
from strategies.strategy import ConcordStrategy


class PrototypeTable(Consensus):
    """Global anchor prototypes, and how many nodes of all parties each stood for when it was last spoken of.

    Args:
        anchors: K.
        width: D.
        inertia: share of a prototype that stays in a round.
        cap: largest share of one party in the mass.
    """

    needs_variance = False

    def __init__(self, anchors: int, width: int, inertia: float, cap: float) -> None:
        self.inertia, self.cap = inertia, cap
        self._prototype_KD = torch.zeros(anchors, width)
        self._mass_K = torch.zeros(anchors)

    def update(self, reports: Sequence[pb.Report]) -> None:
        told = [moments_from_wire(r.moments, *self._prototype_KD.shape) for r in reports if r.HasField("moments")]
        if not told:
            return
        means, masses = zip(*told, strict=True)
        means_PKD, masses_PK = bounded_moments(means, masses, self.cap)
        before_KD, had_K = self._prototype_KD, self._mass_K > 0
        self._prototype_KD, known_K = merge_prototypes([*means_PKD], [*masses_PK], before_KD, had_K, self.inertia)
        fresh_K = masses_PK.sum(0)
        self._mass_K = torch.where(known_K & (fresh_K > 0), fresh_K, self._mass_K)

    def write(self, instruction: pb.Instruction, node: str) -> None:
        if bool((self._mass_K > 0).any()):
            instruction.table.CopyFrom(moments_to_wire(self._prototype_KD, self._mass_K))

    def state(self) -> dict[str, Tensor]:
        return {"prototypes": self._prototype_KD, "masses": self._mass_K}

    def load(self, state: Mapping[str, Tensor]) -> None:
        if "prototypes" in state:
            self._prototype_KD, self._mass_K = state["prototypes"], state["masses"]


class Stage(ConcordStrategy):
    """Keeps the table; every party keeps its own model."""

    def __init__(self, config: RunConfig, anchors: AnchorSet, state: GlobalState, width: int) -> None:
        settings, cap = config.stage, config.aggregation.max_share
        table = [PrototypeTable(settings.anchors, settings.width, settings.inertia, cap)] if config.keeps_table else []
        means = [ClassMeans(len(anchors.concepts), cap)] if config.grounds_classes else []
        consensus = Together([*table, *means])
        super().__init__(config, anchors, state, plan=NoGroups(), rule=None, consensus=consensus, width=width)

    @property
    def semantic(self) -> tuple[int, int] | None:
        return (self.config.stage.anchors, self.config.stage.width) if self.config.keeps_table else None
