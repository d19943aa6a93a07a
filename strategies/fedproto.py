"""FedProto (Tan et al., AAAI 2022, arXiv 2105.00243), server side: class prototypes travel, weights do not."""

from __future__ import annotations

from concord.anchors import AnchorSet
from concord.config import RunConfig
from strategies.consensus import PrototypeConsensus
from strategies.plan import NoGroups
from strategies.state import GlobalState
from strategies.strategy import ConcordStrategy


class FedProto(ConcordStrategy):
    """Global class prototypes by count; every node keeps its own model."""

    def __init__(self, config: RunConfig, anchors: AnchorSet, state: GlobalState, width: int) -> None:
        consensus = PrototypeConsensus(len(anchors.concepts), config.aggregation.max_share)
        super().__init__(config, anchors, state, plan=NoGroups(), rule=None, consensus=consensus, width=width)

    @property
    def tells_prototypes(self) -> bool:
        return True
