"""The usual multimodal model, for the peers of PARSE: an embedding a modality, one classifier of all of them end to end.

Legend: B batch, D width of the trunk, E width of an embedding, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from client_app.agents.model import AgentModel, Part, linear, prefixed
from concord.config import RunConfig


class FusedModel(AgentModel):
    """logits = head_S(z of all modalities in S, end to end); z has the width of three slices, so models are of one size.

    Parts: ``encoder.m`` (with the projector behind it) and ``head.S``.
    """

    def __init__(self, config: RunConfig, modalities: Sequence[str], classes: int) -> None:
        super().__init__(config, modalities, classes)
        self.embedding = 3 * config.parse.slice_width
        self.projectors = nn.ModuleDict(
            {m: linear(config, self.encoders[m].width, self.embedding, "projector", m) for m in modalities}  # type: ignore[arg-type]
        )
        self.normalise = nn.LayerNorm(self.embedding, elementwise_affine=False)
        self.head = linear(config, self.embedding * len(modalities), classes, "head", self.kind)

    def embed(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Embedding [B, E] of each modality."""
        return {m: self.normalise(self.projectors[m](self.encoders[m](inputs[m]))) for m in self.modalities}

    def votes(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"fused": self.head(torch.cat(list(self.embed(inputs).values()), 1))}

    def losses(self, inputs: Mapping[str, Tensor], y_B: Tensor, progress: float) -> dict[str, Tensor]:
        return {"task": F.cross_entropy(self.votes(inputs)["fused"], y_B)}

    def parts(self) -> dict[str, Part]:
        encoders = {
            f"encoder.{m}": encoder.part() | prefixed("projector", self.projectors[m])  # type: ignore[operator]
            for m, encoder in self.encoders.items()
        }
        return encoders | {f"head.{self.kind}": prefixed("head", self.head)}


class StagedModel(FusedModel):
    """First each modality by itself, with a classifier of its own; in the second half of the run, their fusion.

    After Harmony (Ouyang et al., MobiSys 2023): modality-wise learning, then fusion learning of the multimodal nodes.
    Reconstructed: the stages are halves of the run, and encoders are frozen in the second. An agent of one modality has
    nothing to fuse and stays in the first stage.

    Parts: those of `FusedModel` and ``classifier.m``.
    """

    def __init__(self, config: RunConfig, modalities: Sequence[str], classes: int) -> None:
        super().__init__(config, modalities, classes)
        self.classifiers = nn.ModuleDict({m: linear(config, self.embedding, classes, "classifier", m) for m in modalities})

    def votes(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if len(self.modalities) > 1:
            return super().votes(inputs)
        return {m: self.classifiers[m](z_BE) for m, z_BE in self.embed(inputs).items()}

    def losses(self, inputs: Mapping[str, Tensor], y_B: Tensor, progress: float) -> dict[str, Tensor]:
        if self._fuses(progress):
            with torch.no_grad():
                z_BE = torch.cat(list(self.embed(inputs).values()), 1)
            return {"fusion": F.cross_entropy(self.head(z_BE), y_B)}
        return {f"task.{m}": F.cross_entropy(self.classifiers[m](z_BE), y_B) for m, z_BE in self.embed(inputs).items()}

    def exchanges(self, slice_: str, progress: float) -> bool:
        return (slice_.partition(".")[0] == "head") == self._fuses(progress)

    def _fuses(self, progress: float) -> bool:
        """Whether it is in the second stage."""
        return progress >= 0.5 and len(self.modalities) > 1

    def parts(self) -> dict[str, Part]:
        return super().parts() | {f"classifier.{m}": prefixed("head", self.classifiers[m]) for m in self.modalities}
