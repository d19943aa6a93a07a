"""FedMChain (Zhang et al., arXiv 2606.01856), server side: sparse sign-guided aggregation within each modality.

Every group belongs to one modality, so that agreement and clusters are those of its holders. Formulas are reconstructed
from the description; see docs/methods.md.
"""

from __future__ import annotations

from strategies.fedavg import FedAvg
from strategies.rules import RuleName

DEFAULT_RULE: RuleName = "sparse-sign"


class FedMChain(FedAvg):
    """FedAvg by SSCA of sparse updates; the phases are the nodes' part."""

    own_rule = DEFAULT_RULE
