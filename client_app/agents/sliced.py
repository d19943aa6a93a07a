"""PARSE's model: an embedding of a modality is three slices, redundant, unique and synergistic, each with a classifier.

Shi et al., "PARSE", arXiv 2601.10012. Published: feature fission into equal slices with a classifier each, a contrastive loss
on the redundant slices, the synergistic slices averaged. Reconstructed: the sum of the losses and what a slice consists of.

Legend: B batch, W width of a slice, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from client_app.agents.model import AgentModel, Part, linear, mean_of, prefixed
from concord.config import RunConfig
from concord.functional.contrast import symmetric_info_nce
from concord.kinds import REDUNDANT, SLICES, SYNERGISTIC, UNIQUE, alone, without

SHARED_HEAD = "redundant-head"


class SlicedModel(AgentModel):
    """[z_r, z_u, z_s] = h_m(x) for each modality m; z_s is averaged over the modalities.

    Parts: ``encoder.m``; ``redundant.m`` and ``unique.m``, the rows of the last layer and their head; ``synergistic-rows.m``
    and, for the set S of the agent's modalities, ``synergistic-head.S``; with one redundant head for all, ``redundant-head``.
    """

    def __init__(self, config: RunConfig, modalities: Sequence[str], classes: int) -> None:
        super().__init__(config, modalities, classes)
        self.settings = config.parse
        width = self.settings.slice_width
        self.rows = nn.ModuleDict(
            {
                m: nn.ModuleDict({s: linear(config, self.encoders[m].width, width, "rows", m, s) for s in SLICES})  # type: ignore[arg-type]
                for m in modalities
            }
        )
        self.normalise = nn.LayerNorm(width, elementwise_affine=False)
        own = [UNIQUE] if self.settings.redundant_head == "shared" else [REDUNDANT, UNIQUE]
        self.heads = nn.ModuleDict(
            {m: nn.ModuleDict({s: linear(config, width, classes, "head", m, s) for s in own}) for m in modalities}
        )
        self.synergistic_head = linear(config, width, classes, "head", self.kind, SYNERGISTIC)
        self.redundant_head = linear(config, width, classes, "head", REDUNDANT) if REDUNDANT not in own else None

    def slices(self, inputs: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
        """Per slice and modality its values [B, W]."""
        hidden = {m: self.encoders[m](inputs[m]) for m in self.modalities}
        return {s: {m: self.normalise(self.rows[m][s](h_BD)) for m, h_BD in hidden.items()} for s in SLICES}  # type: ignore[index]

    def votes(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return self._votes(self.slices(inputs))

    def losses(self, inputs: Mapping[str, Tensor], y_B: Tensor, progress: float) -> dict[str, Tensor]:
        slices = self.slices(inputs)
        votes = self._votes(slices)
        terms = {"task": F.cross_entropy(mean_of(votes.values()), y_B)}
        terms["slices"] = torch.stack([F.cross_entropy(vote_BC, y_B) for vote_BC in votes.values()]).sum()
        pairs = list(combinations(self.modalities, 2))
        if pairs and self.settings.contrast_weight:
            redundant = slices[REDUNDANT]
            temperature = self.settings.contrast_temperature
            contrast = torch.stack([symmetric_info_nce(redundant[a], redundant[b], temperature) for a, b in pairs]).sum()
            terms["contrast"] = self.settings.contrast_weight * contrast
        return terms

    def figures(self, votes: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Beside the prediction of all: that without one kind of slice, and that of one kind alone."""
        figures = super().figures(votes)
        for name in SLICES:
            of_slice = [vote_BC for key, vote_BC in votes.items() if key.partition(".")[0] == name]
            others = [vote_BC for key, vote_BC in votes.items() if key.partition(".")[0] != name]
            figures |= {without(self.kind, name): mean_of(others), alone(self.kind, name): mean_of(of_slice)}
        return figures

    def parts(self) -> dict[str, Part]:
        parts = {f"encoder.{m}": encoder.part() for m, encoder in self.encoders.items()}  # type: ignore[operator]
        for m in self.modalities:
            rows, heads = self.rows[m], self.heads[m]
            for name in (REDUNDANT, UNIQUE):
                head = prefixed("head", heads[name]) if name in heads else {}  # type: ignore[index, operator]
                parts[f"{name}.{m}"] = prefixed("rows", rows[name]) | head  # type: ignore[index]
            parts[f"{SYNERGISTIC}-rows.{m}"] = prefixed("rows", rows[SYNERGISTIC])  # type: ignore[index]
        parts[f"{SYNERGISTIC}-head.{self.kind}"] = prefixed("head", self.synergistic_head)
        if self.redundant_head is not None:
            parts[SHARED_HEAD] = prefixed("head", self.redundant_head)
        return parts

    def _votes(self, slices: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
        votes: dict[str, Tensor] = {}
        for m in self.modalities:
            for name in (REDUNDANT, UNIQUE):
                shared = self.redundant_head if name == REDUNDANT else None
                head = self.heads[m][name] if shared is None else shared  # type: ignore[index]
                votes[f"{name}.{m}"] = head(slices[name][m])
        together_BW = torch.stack(list(slices[SYNERGISTIC].values())).mean(0)
        votes[f"{SYNERGISTIC}.{self.kind}"] = self.synergistic_head(together_BW)
        return votes
