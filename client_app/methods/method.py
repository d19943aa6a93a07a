"""What a method adds to a node: which samples it learns from and the terms of its local objective.

Legend: C concepts, D width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from client_app.model import MultimodalModel
from client_app.views import Part, Views
from concord.config import RunConfig
from concord.samples import Samples

Masked = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Agreed:
    """What the server says all nodes agree on so far; None before there is any.

    Attributes:
        consensus: per modality the Gram consensus [C, C] and its mask [C].
        frame: directions of the concepts [C, D] in the shared space and their mask.
        prototypes: class means [C, D] and which classes have one.
        progress: share of the run that is done, 0 to 1.
    """

    consensus: Mapping[str, Masked] = field(default_factory=dict)
    frame: Masked | None = None
    prototypes: Masked | None = None
    progress: float = 0.0


class Method:
    """Supervised learning from labelled samples and the public anchors; methods add terms to it.

    Attributes:
        learns_from_samples: whether the node's own samples are used, or its anchors alone.
        sends_prototypes: whether class means go up.
        keeps_heads: whether heads stay at home.
        pooled: whether one node holds the data of all.
        in_phases: whether modalities are trained one after the other, whatever ``fusion.loss`` says.
        pulls_back: whether `penalties` needs the weights that the round began with.
    """

    learns_from_samples: ClassVar[bool] = True
    sends_prototypes: ClassVar[bool] = False
    keeps_heads: ClassVar[bool] = False
    pooled: ClassVar[bool] = False
    in_phases: ClassVar[bool] = False
    pulls_back: ClassVar[bool] = False

    def __init__(self, config: RunConfig) -> None:
        self.config = config

    @property
    def learns_from_anchors(self) -> bool:
        """Whether the labelled public anchors are training samples."""
        return self.config.anchor_supervision or not self.learns_from_samples

    @property
    def sees_anchors(self) -> bool:
        """Whether a step needs anchors at all."""
        return self.learns_from_anchors

    @property
    def complements(self) -> bool:
        """Whether `complement` gives any term."""
        return False

    def pseudo_labels(self, model: MultimodalModel, modality: str, samples: Samples, anchors: Samples, agreed: Agreed) -> Samples:
        """Samples without a label that the node learns from in this round, with the labels it gives them; none here."""
        return samples.take([])

    def terms(self, views: Views, agreed: Agreed) -> dict[str, Tensor]:
        """Named scalar terms of the loss, already weighted; the objective is their sum."""
        learnt = (views.anchors if self.learns_from_anchors else None, views.labelled)
        parts = [part for part in learnt if part is not None]
        return {"task": cross_entropy(parts)} if parts else {}

    def complement(self, part: Part, context_NC: Tensor) -> dict[str, Tensor]:
        """Terms of a phase that see the summed logits [N, C] of other modalities on the same samples; none here."""
        return {}

    def penalties(self, parameters: Sequence[Tensor], start: Sequence[Tensor]) -> dict[str, Tensor]:
        """Terms on the weights that are trained, beside their values at the start of the round; none here."""
        return {}


def cross_entropy(parts: list[Part]) -> Tensor:
    """Mean cross-entropy over all rows of the parts."""
    return F.cross_entropy(torch.cat([p.logits_NC for p in parts]), torch.cat([p.y_N for p in parts]))
