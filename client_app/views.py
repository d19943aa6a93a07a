"""What a training step sees of one modality: random views of anchors, labelled and pseudo-labelled samples.

One forward pass takes all of them together. Legend: N rows, D width, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from client_app.model import MultimodalModel
from concord.samples import NO_LABEL, Samples

LABELLED, ANCHOR, STRONG = 0.5, 1.0, 1.0  # strengths of augmentation
ANCHORS_A_CONCEPT = 2  # anchors of each concept in a step


class Part(NamedTuple):
    """Embeddings [N, D], logits [N, C], labels or concepts [N] and ids of one kind of sample."""

    z_ND: Tensor
    logits_NC: Tensor
    y_N: Tensor
    ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Views:
    """One step of one modality; None: there is no such part, or the method does not look at it.

    `pseudo` are unlabelled samples with the label that the method gave them.
    """

    modality: str
    anchors: Part | None
    labelled: Part | None
    pseudo: Part | None

    def parts(self) -> list[Part]:
        """All that there are."""
        return [part for part in (self.anchors, self.labelled, self.pseudo) if part is not None]


class Batches:
    """Draws the batches of one modality, without replacement within an epoch.

    Args:
        samples: the node's samples; those without a label are left out.
        pseudo: unlabelled samples with the labels that the method gave them.
        anchors: the public anchors; none where the method does not look at them.
        size: samples of a batch.
        generator: source of all draws.
    """

    def __init__(self, samples: Samples, pseudo: Samples, anchors: Samples, size: int, generator: Generator) -> None:
        self.samples, self.pseudo, self.anchors, self.generator = samples, pseudo, anchors, generator
        self._labelled = endless(torch.nonzero(samples.y != NO_LABEL).flatten(), size, generator)
        self._pseudo = endless(torch.arange(len(pseudo)), size, generator)

    def draw(self) -> Iterator[tuple[str, Samples]]:
        """One step's samples by kind."""
        if len(self.anchors):
            yield "anchors", self.anchors.take(self._anchor_indices())
        for kind, source, indices in (("labelled", self.samples, self._labelled), ("pseudo", self.pseudo, self._pseudo)):
            index = next(indices, None)
            if index is not None:
                yield kind, source.take(index)

    def _anchor_indices(self) -> Tensor:
        """A few anchors of every concept, shape [C * ANCHORS_A_CONCEPT] or less where a concept has fewer."""
        order = torch.randperm(len(self.anchors), generator=self.generator)
        concept = self.anchors.y[order]
        earlier_of_concept = (concept[:, None] == concept[None, :]).tril(-1).sum(1)
        return order[earlier_of_concept < ANCHORS_A_CONCEPT]


STRENGTHS = {"anchors": ANCHOR, "labelled": LABELLED, "pseudo": STRONG}


def draw_views(
    model: MultimodalModel, modality: str, batches: Batches, *, augment: bool, strong: bool = False, device: torch.device
) -> Views:
    """Draws one step's samples and sends random views of them through the model in one pass.

    Args:
        augment: whether views are random at all.
        strong: whether pseudo-labelled samples are seen in strong views, not in those of labelled ones.
    """
    view = model.encoders[modality].augment
    drawn = dict(batches.draw())
    if not drawn:
        return Views(modality, None, None, None)
    strengths = STRENGTHS if strong else STRENGTHS | {"pseudo": LABELLED}
    inputs = [view(s.x, strengths[kind], batches.generator) if augment else s.x for kind, s in drawn.items()]
    z_ND = model.embed(modality, torch.cat(inputs).to(device))
    logits_NC = model.classify(modality, z_ND)
    sizes = [len(s) for s in drawn.values()]
    parts = {
        kind: Part(z, logits, s.y.to(device), s.ids)
        for (kind, s), z, logits in zip(drawn.items(), z_ND.split(sizes), logits_NC.split(sizes), strict=True)
    }
    return Views(modality, parts.get("anchors"), parts.get("labelled"), parts.get("pseudo"))


def endless(index: Tensor, size: int, generator: Generator) -> Iterator[Tensor]:
    """Batches of `size` for ever; every pass is a new permutation, small sets repeat within a batch.

    No batch at all where there is nothing to draw from.
    """
    queue = torch.empty(0, dtype=torch.long)
    while len(index):
        while len(queue) < size:
            queue = torch.cat([queue, index[torch.randperm(len(index), generator=generator)]])
        yield queue[:size]
        queue = queue[size:]
