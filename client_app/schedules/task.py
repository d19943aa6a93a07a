"""What a schedule has to work on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from client_app.methods import Agreed, Method
from client_app.model import MultimodalModel
from client_app.views import Batches
from concord.config import RunConfig
from concord.samples import Samples
from concord.seeding import generator_for


@dataclass(frozen=True)
class Task:
    """One round of local training.

    Attributes:
        model: trained in place.
        samples, anchors: per modality of the node.
        method, agreed, config: the run.
        owner: name of the node; with the run's seed and the round it decides batches and views.
        round_: from 1.
        device: where the model is.
        memory: what the method remembers from round to round, on the node's disk; changed in place.
    """

    model: MultimodalModel
    samples: Mapping[str, Samples]
    anchors: Mapping[str, Samples]
    method: Method
    agreed: Agreed
    config: RunConfig
    owner: str
    round_: int
    device: torch.device
    memory: dict[str, Tensor] = field(default_factory=dict)

    def generator(self, *purpose: str | int) -> Generator:
        """The source of the draws of this node and round for a purpose."""
        return generator_for(self.config.seed, "batches", self.owner, *purpose, self.round_)

    @property
    def learned(self) -> dict[str, Samples]:
        """The node's own samples that it learns from."""
        return {m: own if self.method.learns_from_samples else own.take([]) for m, own in self.samples.items()}

    def batches(self, modality: str) -> Batches:
        """Batches of one modality by itself: its anchors, labelled samples, and those that the method gives a label."""
        own = self.learned[modality]
        pseudo = self.method.pseudo_labels(self.model, modality, own, self.anchors[modality], self.agreed)
        return Batches(own, pseudo, self.seen_anchors(modality), self.config.batch_size, self.generator(modality))

    def anchor_batches(self, modality: str) -> Batches:
        """Batches of the anchors of one modality alone."""
        none = self.samples[modality].take([])
        return Batches(none, none, self.seen_anchors(modality), self.config.batch_size, self.generator(modality))

    def seen_anchors(self, modality: str) -> Samples:
        """The anchors that a step draws from; none where the method does not look at them."""
        anchors = self.anchors[modality]
        return anchors if self.method.sees_anchors else anchors.take([])
