"""FedMChain (Zhang et al., arXiv 2606.01856), node side: modality phases with an error-compensated regulariser.

The formulas of the regulariser are reconstructed; see `concord.functional.chain`.
"""

from __future__ import annotations

from torch import Tensor

from client_app.methods.method import Method
from client_app.views import Part
from concord.functional.chain import additive_boosting, residual_weighting

REGULARISERS = {"residual": residual_weighting, "boosting": additive_boosting}


class FedMChain(Method):
    """Cross-entropy of one modality at a time, and what the others leave for it to learn."""

    in_phases = True

    @property
    def complements(self) -> bool:
        return self.config.fedmchain.regulariser != "none" and self.config.fedmchain.weight > 0

    def complement(self, part: Part, context_NC: Tensor) -> dict[str, Tensor]:
        settings = self.config.fedmchain
        loss = REGULARISERS[settings.regulariser](part.logits_NC, context_NC, part.y_N)
        return {settings.regulariser: settings.weight * loss}
