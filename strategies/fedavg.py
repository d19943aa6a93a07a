"""FedAvg (McMahan et al., AISTATS 2017, arXiv 1602.05629), per group over the nodes that hold it.

``model.head`` decides whether one head serves all modalities (shared) or each has its own (modality). The upper
bound ``centralised`` is FedAvg over one node that holds all data.
"""

from __future__ import annotations

from typing import ClassVar

from concord.anchors import AnchorSet
from concord.config import RunConfig
from strategies.consensus import NoConsensus
from strategies.plan import HeldGroups
from strategies.rules import RuleName, make_rule
from strategies.state import GlobalState
from strategies.strategy import ConcordStrategy

DEFAULT_RULE: RuleName = "mean"


class FedAvg(ConcordStrategy):
    """Averaging by a rule, nothing else; its own rule weighs by examples."""

    own_rule: ClassVar[RuleName] = DEFAULT_RULE

    def __init__(self, config: RunConfig, anchors: AnchorSet, state: GlobalState, width: int) -> None:
        super().__init__(
            config,
            anchors,
            state,
            plan=HeldGroups(),
            rule=make_rule(config, self.own_rule),
            consensus=NoConsensus(),
            width=width,
        )
