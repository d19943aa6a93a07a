"""GeoLoRA (Eklund, "Unpaired multimodal federated learning by geometric alignment", arXiv 2601.17986), server side.

Averages low-rank updates by precision (capped) and the anchors' Gram matrices to a consensus. Formulas are
reconstructed from the description; see docs/methods.md.
"""

from __future__ import annotations

from concord.anchors import AnchorSet
from concord.config import RunConfig
from strategies.consensus import GramConsensus
from strategies.plan import HeldGroups
from strategies.rules import RuleName, make_rule
from strategies.state import GlobalState
from strategies.strategy import ConcordStrategy

DEFAULT_RULE: RuleName = "precision"


class GeoLora(ConcordStrategy):
    """Precision-weighted averaging and a Gram consensus."""

    def __init__(self, config: RunConfig, anchors: AnchorSet, state: GlobalState, width: int) -> None:
        settings = config.geolora
        consensus = GramConsensus(
            len(anchors.concepts), width, settings.consensus, config.aggregation.max_share, with_frame=settings.frame_weight > 0
        )
        rule = make_rule(config, DEFAULT_RULE)
        super().__init__(config, anchors, state, plan=HeldGroups(), rule=rule, consensus=consensus, width=width)
