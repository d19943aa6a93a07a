"""A trained model that answers for new samples.

Legend: N samples, M of a gallery, B samples of a batch, C concepts, D width, K nearest.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from client_app import files
from client_app.agents.model import AgentModel, mean_of
from client_app.data.preparation.preparation import Preparation
from client_app.data.preparation.raw import Picture, Row, Series, Waveform
from client_app.data.preparation.registry import preparation_of
from client_app.encoders.registry import encoder_name
from client_app.measure import EVALUATION_BATCH, anchor_means
from client_app.model import MultimodalModel
from concord.anchors import AnchorSet
from concord.config import RunConfig
from concord.errors import ConcordError
from concord.functional.prototypes import anchor_assignment
from concord.functional.retrieval import COORDINATES, POOLED, nearest

Sample = Picture | Waveform | Series | Row | str | Path
Given = Tensor | Sequence[Sample]


class Nearest(NamedTuple):
    """For each of N queries the K nearest items of a gallery, the nearest first.

    Attributes:
        row: in the gallery, shape [N, K].
        cosine: to the query, shape [N, K].
    """

    row: Tensor
    cosine: Tensor


class TrainedModel(ABC):
    """What a run, or an agent, has left.

    Samples are given as the preparation of their modality takes them (`client_app.data.preparation.raw`), or as paths of files
    that hold one each; or, as a tensor [N, ...], already prepared. All that comes back is on the CPU.

    Attributes:
        config: the run.
        anchors: its public anchors.
        modalities: what the model takes.
        concepts: names of the classes.
    """

    def __init__(self, config: RunConfig, anchors: AnchorSet, modalities: Sequence[str], device: torch.device) -> None:
        self.config, self.anchors, self.modalities, self._device = config, anchors, tuple(modalities), device
        self.concepts = anchors.concepts

    def classify(self, samples: Mapping[str, Given]) -> Tensor:
        """Probabilities [N, C] of the classes.

        Args:
            samples: by modality N samples; those in the same place are of one instance, and are judged together.

        Raises:
            ConcordError: C204 for an unknown modality, C206 for a file that cannot be read, C702 where there is no answer.
        """
        counts = {modality: self._count(modality, given) for modality, given in samples.items()}
        if len(set(counts.values())) != 1:
            what = f"instances in several modalities need as many samples of each, here {counts}"
            raise ConcordError("C702", what, "give every instance in all the modalities that are named")
        batches = {modality: self._batches(modality, given) for modality, given in samples.items()}
        parts = [self._logits(dict(zip(batches, xs, strict=True))).softmax(1).cpu() for xs in zip(*batches.values(), strict=True)]
        return torch.cat(parts)

    def embed(self, modality: str, samples: Given, space: str = COORDINATES) -> Tensor:
        """Where samples are in a space that all modalities share.

        Args:
            modality: of the samples.
            samples: N of them.
            space: ``anchor-coordinates``, shares [N, C] of the public anchors of the sample's own modality, which mean the
                same in all modalities; or ``pooled``, the embeddings [N, D] themselves.

        Raises:
            ConcordError: C204 for an unknown modality, C206 for a file that cannot be read, C702 where there is no answer.
        """
        if space not in (COORDINATES, POOLED):
            raise ConcordError("C702", f"there is no space {space!r}", f"choose {COORDINATES} or {POOLED}")
        z_ND = torch.cat([self._embed(modality, x) for x in self._batches(modality, samples)])
        return z_ND.cpu() if space == POOLED else anchor_assignment(z_ND, *self._anchors(modality)).cpu()

    def retrieve(
        self, query_modality: str, queries: Given, gallery_modality: str, gallery: Given, k: int = 10, space: str = COORDINATES
    ) -> Nearest:
        """The `k` samples of a gallery that are nearest to each query.

        Raises:
            ConcordError: as `embed`.
        """
        found_in = self.embed(gallery_modality, gallery, space)
        return Nearest(*nearest(self.embed(query_modality, queries, space), found_in, k))

    def preparation(self, modality: str) -> Preparation:
        """What samples of a modality are, and how they become inputs; ConcordError C204 where none is known."""
        self._require(modality)
        return preparation_of(encoder_name(self.config, modality))

    @abstractmethod
    def _logits(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Logits [B, C] from the inputs of B instances by modality."""

    @abstractmethod
    def _embed(self, modality: str, x: Tensor) -> Tensor:
        """Embeddings [B, D]."""

    @abstractmethod
    def _anchors(self, modality: str) -> tuple[Tensor, Tensor]:
        """Mean embeddings [C, D] of the anchors of a modality, and which concepts have any [C]."""

    def _batches(self, modality: str, samples: Given) -> Iterator[Tensor]:
        """Inputs, a batch after the other: what is in files is not in memory all at once."""
        for begin in range(0, self._count(modality, samples), EVALUATION_BATCH):
            part = samples[begin : begin + EVALUATION_BATCH]
            if not isinstance(part, Tensor):
                preparation = self.preparation(modality)
                part = preparation.prepare_all([_raw(preparation, sample) for sample in part])
            yield part.to(self._device)

    def _count(self, modality: str, samples: Given) -> int:
        """How many samples there are, at least one."""
        self._require(modality)
        if isinstance(samples, str | Path):  # a text would be read letter by letter
            raise ConcordError("C702", f"{samples!r} is a single sample", "give a list of samples, of one if need be")
        if not len(samples):
            raise ConcordError("C702", f"there is no sample of modality {modality!r}", "give at least one")
        return len(samples)

    def _require(self, modality: str) -> None:
        if modality not in self.modalities:
            raise ConcordError("C204", f"the model has no modality {modality!r}", f"choose one of: {', '.join(self.modalities)}")


class TrainedTogether(TrainedModel):
    """The model of a run with a server: one for all modalities. Logits of several modalities are summed, as in the run.

    Magnitudes of DoRA and heads that stay with the nodes are as they were before round 1.
    """

    def __init__(
        self, config: RunConfig, anchors: AnchorSet, model: MultimodalModel, device: torch.device, *, has_heads: bool
    ) -> None:
        super().__init__(config, anchors, model.modalities, device)
        self._model, self._has_heads = model, has_heads
        self._anchors_once = cache(self._measure_anchors)

    @torch.inference_mode()
    def _logits(self, inputs: Mapping[str, Tensor]) -> Tensor:
        if not self._has_heads:
            what = "the heads of this model stayed with the nodes, so it names no classes"
            raise ConcordError("C702", what, "the largest anchor coordinate of `embed` tells the nearest concept")
        return torch.stack([self._model.classify(m, self._model.embed(m, x)) for m, x in inputs.items()]).sum(0)

    @torch.inference_mode()
    def _embed(self, modality: str, x: Tensor) -> Tensor:
        return self._model.embed(modality, x)

    def _anchors(self, modality: str) -> tuple[Tensor, Tensor]:
        return self._anchors_once(modality)

    def _measure_anchors(self, modality: str) -> tuple[Tensor, Tensor]:
        return anchor_means(self._model, modality, self.anchors.of(modality), len(self.concepts), self._device)


class TrainedAgent(TrainedModel):
    """The model of one agent without a server: it judges instances in all the modalities that the agent holds."""

    def __init__(self, config: RunConfig, anchors: AnchorSet, model: AgentModel, device: torch.device) -> None:
        super().__init__(config, anchors, model.modalities, device)
        self._model = model

    @torch.inference_mode()
    def _logits(self, inputs: Mapping[str, Tensor]) -> Tensor:
        if lacking := set(self.modalities) - set(inputs):
            what = f"the agent judges instances in all its modalities, and {', '.join(sorted(lacking))} is not given"
            raise ConcordError("C702", what, "give the same instances in each modality")
        return mean_of(self._model.votes(inputs).values())

    def _embed(self, modality: str, x: Tensor) -> Tensor:
        raise self._no_space()

    def _anchors(self, modality: str) -> tuple[Tensor, Tensor]:
        raise self._no_space()

    def _no_space(self) -> ConcordError:
        what = f"models of agents ({self.config.method}) are not aligned with each other, so they share no space"
        return ConcordError("C702", what, "classify samples instead, or train with a method that has a server")


def _raw(preparation: Preparation, sample: Sample) -> object:
    """A sample as the preparation takes it; a path, also one that is a text where no text is wanted, is read."""
    if isinstance(sample, Path) or (isinstance(sample, str) and preparation.kind != "text"):
        return files.read(preparation.kind, Path(sample))
    return sample
