"""FedProx (Li et al., MLSys 2020, arXiv 1812.06127): FedAvg whose nodes are held near the model that came in.

Local objective, eq. 2: the loss plus mu / 2 times the squared distance of the weights to those of the round's start.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from client_app.methods.method import Method


class FedProx(Method):
    """Supervised learning with a proximal term."""

    pulls_back = True

    def penalties(self, parameters: Sequence[Tensor], start: Sequence[Tensor]) -> dict[str, Tensor]:
        distance = torch.stack([(now - then).square().sum() for now, then in zip(parameters, start, strict=True)]).sum()
        return {"proximal": self.config.fedprox.mu / 2 * distance}
