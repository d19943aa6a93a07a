"""GeoLoRA (Eklund, arXiv 2601.17986), node side: supervised learning, alignment to the Gram consensus, pseudo-labels.

Published: unpaired nodes align through Gram matrices of public anchors by CKA. Reconstructed: the loss below. Ours:
the frame, which pins the absolute position that a Gram leaves open, and the pseudo-labels of whole rounds.

L = L_task + cka-weight (1 - CKA(G, sg(Gbar))) + frame-weight L_frame(z, frame) + pseudo-weight L_pseudo

Legend: N rows, C concepts, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from client_app.measure import anchor_means, embed_all
from client_app.methods.method import Agreed, Masked, Method, cross_entropy
from client_app.model import MultimodalModel
from client_app.views import Part, Views
from concord.functional.frame import frame_cross_entropy, frame_distance
from concord.functional.gram import cka, concept_means, gram
from concord.functional.prototypes import anchor_assignment
from concord.functional.pseudo import confident_share, fit_prior, missing_prior
from concord.samples import NO_LABEL, Samples

FEWEST_CONCEPTS = 4  # below this a CKA says nothing


class GeoLora(Method):
    """The local objective of GeoLoRA; every term is a switch of the ``geolora`` section."""

    sees_anchors = True

    def pseudo_labels(self, model: MultimodalModel, modality: str, samples: Samples, anchors: Samples, agreed: Agreed) -> Samples:
        """Labels of the unlabelled samples from the model that came in; the share that is kept grows with the run.

        All samples are labelled together, once a round, so that the labels can be fitted to a class prior.
        """
        settings = self.config.geolora
        unlabelled = samples.take(torch.nonzero(samples.y == NO_LABEL).flatten())
        if settings.pseudo_labels == "none" or not len(unlabelled):
            return samples.take([])
        probability_NC = self._probabilities(model, modality, unlabelled, anchors)
        classes = probability_NC.shape[1]
        if settings.prior == "uniform":
            probability_NC = fit_prior(probability_NC, missing_prior(samples.y, classes))
        first = settings.pseudo_share
        kept_N = confident_share(probability_NC, first + (1 - first) * agreed.progress)
        named = Samples(unlabelled.x, probability_NC.argmax(1), unlabelled.ids)
        return named.take(torch.nonzero(kept_N).flatten())

    def terms(self, views: Views, agreed: Agreed) -> dict[str, Tensor]:
        settings = self.config.geolora
        terms = super().terms(views, agreed)
        consensus = agreed.consensus.get(views.modality)
        if consensus is not None and settings.cka_weight and views.anchors is not None:
            terms["cka"] = settings.cka_weight * self._misalignment(views.anchors, consensus)
        if agreed.frame is not None and settings.frame_weight:
            terms["frame"] = settings.frame_weight * self._off_frame(views.parts(), agreed.frame)
        if views.pseudo is not None:
            terms["pseudo"] = settings.pseudo_weight * cross_entropy([views.pseudo])
        return terms

    def _misalignment(self, anchors: Part, consensus: Masked) -> Tensor:
        """1 - CKA between the node's Gram and the consensus; 0 where they have too few concepts in common."""
        target_CC, target_mask_C = consensus
        means_CD, mask_C = concept_means(anchors.z_ND, anchors.y_N, len(target_CC))
        common_C = mask_C & target_mask_C
        if int(common_C.sum()) < FEWEST_CONCEPTS:
            return anchors.z_ND.sum() * 0
        return 1 - cka(gram(means_CD), target_CC, common_C, self.config.geolora.hsic)

    def _off_frame(self, parts: list[Part], frame: Masked) -> Tensor:
        settings = self.config.geolora
        z_ND, y_N = torch.cat([p.z_ND for p in parts]), torch.cat([p.y_N for p in parts])
        if settings.frame_loss == "cosine":
            return frame_distance(z_ND, y_N, *frame)
        return frame_cross_entropy(z_ND, y_N, *frame, settings.frame_scale)

    @torch.no_grad()
    def _probabilities(self, model: MultimodalModel, modality: str, samples: Samples, anchors: Samples) -> Tensor:
        """Class probabilities [N, C] of samples from the head, or from their anchor coordinates; on the CPU."""
        device = next(model.parameters()).device
        z_ND = embed_all(model, modality, samples, device)
        if self.config.geolora.pseudo_labels == "anchors":
            means = anchor_means(model, modality, anchors, model.classes, device)
            return anchor_assignment(z_ND, *means).cpu()
        return model.classify(modality, z_ND).softmax(1).cpu()
