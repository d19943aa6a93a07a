"""FedProto (Tan et al., AAAI 2022, arXiv 2105.00243): nodes exchange class prototypes and keep their models.

Local objective, eq. 7: cross-entropy plus the distance of each embedding to the global prototype of its class.
"""

from __future__ import annotations

from torch import Tensor

from client_app.methods.method import Agreed, Method
from client_app.views import Views
from concord.functional.prototypes import prototype_loss


class FedProto(Method):
    """Supervised learning with embeddings drawn to the global class prototypes."""

    sends_prototypes = True
    keeps_heads = True
    sees_anchors = True

    def terms(self, views: Views, agreed: Agreed) -> dict[str, Tensor]:
        terms = super().terms(views, agreed)
        weight = self.config.fedproto.weight
        part = views.labelled or views.anchors
        if agreed.prototypes is not None and weight and part is not None:
            terms["prototype"] = weight * prototype_loss(part.z_ND, part.y_N, *agreed.prototypes)
        return terms
