"""FedMChain (Zhang et al., arXiv 2606.01856), server side: sparse sign-guided aggregation within each modality.

Every group belongs to one modality, so that agreement and clusters are those of its holders. Formulas are reconstructed
from the description; see docs/methods.md.
"""

from __future__ import annotations

from concord.anchors import AnchorSet
from concord.config import RunConfig
from strategies.consensus import NoConsensus
from strategies.plan import HeldGroups
from strategies.rules import RuleName, make_rule
from strategies.state import GlobalState
from strategies.strategy import ConcordStrategy

DEFAULT_RULE: RuleName = "sparse-sign"


class FedMChain(ConcordStrategy):
    """SSCA of sparse updates; the phases are the nodes' part."""

    def __init__(self, config: RunConfig, anchors: AnchorSet, state: GlobalState, width: int) -> None:
        super().__init__(
            config,
            anchors,
            state,
            plan=HeldGroups(),
            rule=make_rule(config, DEFAULT_RULE),
            consensus=NoConsensus(),
            width=width,
        )
