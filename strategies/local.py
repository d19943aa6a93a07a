"""No exchange: every node trains its own model. The lower bound, on all its data or on its public anchors alone."""

from __future__ import annotations

from concord.anchors import AnchorSet
from concord.config import RunConfig
from strategies.consensus import NoConsensus
from strategies.plan import NoGroups
from strategies.state import GlobalState
from strategies.strategy import ConcordStrategy


class Local(ConcordStrategy):
    """Asks nodes to train and measures them; averages nothing."""

    def __init__(self, config: RunConfig, anchors: AnchorSet, state: GlobalState, width: int) -> None:
        super().__init__(config, anchors, state, plan=NoGroups(), rule=None, consensus=NoConsensus(), width=width)
