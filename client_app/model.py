"""The multimodal model: x -> tokens of its modality -> shared trunk -> pooled, projected z -> head.

The projector of a modality can turn its embeddings in the shared space, which the frozen trunk cannot.

Its parameters fall into groups that travel and are averaged together: ``trunk`` or ``trunk.<modality>`` (the adapter of
all or of one), ``tokeniser.<modality>``, and ``head`` or ``head.<modality>``. What is in no group stays on the node.

Legend: B batch, L tokens, D width, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from client_app.encoders import Encoder, encoder_of
from client_app.store import restore
from client_app.trunk import adapt_trunk, build_trunk, copy_trunk, in_bfloat16, local_tensors, pool, shared_tensors
from concord.config import HeadScope, RunConfig
from concord.seeding import seeded

SHARED = "shared"


class MultimodalModel(nn.Module):
    """One model for the modalities of a node (or all of them, on the server).

    Args:
        config: the run.
        modalities: those that this party holds.
        classes: C.
        owner: name of the node; seeds heads that stay local.
        rank: adapter rank of this party, at most `adapter.rank`.
        base: trunk weights after warm-up.
        head_scope: who shares a head; None: what the run config says.

    Initial weights depend on the seed and on what a part is for, so that all parties start alike.
    """

    def __init__(
        self,
        config: RunConfig,
        modalities: Sequence[str],
        classes: int,
        *,
        owner: str = "",
        rank: int | None = None,
        base: Mapping[str, Tensor] | None = None,
        head_scope: HeadScope | None = None,
    ) -> None:
        super().__init__()
        self.config, self.classes = config, classes
        self.head_scope = head_scope or config.head_scope
        self.trunk_scope = config.adapter_scope
        trunk = build_trunk(config, base)
        self.width = width = int(trunk.config.hidden_size)  # type: ignore[union-attr, arg-type]
        keys = sorted({self.trunk_key(modality) for modality in modalities})
        share_weights = config.adapter_kind != "full"
        self.trunks = nn.ModuleDict(
            {key: adapt_trunk(copy_trunk(trunk, share_weights), config, rank or config.adapter.rank) for key in keys}
        )
        self.encoders: dict[str, Encoder] = {modality: encoder_of(config, modality) for modality in modalities}
        self.normalise = nn.LayerNorm(width, elementwise_affine=False)
        self.tokenisers = nn.ModuleDict()
        self.projectors = nn.ModuleDict()
        for modality in modalities:
            with seeded(config.seed, "tokeniser", modality):
                self.tokenisers[modality] = self.encoders[modality].build(width)
                self.projectors[modality] = nn.Linear(width, width)
        self.heads = nn.ModuleDict()
        for key in sorted({self.head_key(modality) for modality in modalities}):
            with seeded(config.seed, "head", key, owner if self.head_scope == "local" else ""):
                self.heads[key] = nn.Linear(width, classes)

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that this model takes."""
        return tuple(self.tokenisers)

    def trunk_key(self, modality: str) -> str:
        """Which trunk a modality goes through."""
        return modality if self.trunk_scope == "modality" else SHARED

    def trunk_of(self, modality: str) -> nn.Module:
        """The trunk that a modality goes through."""
        return self.trunks[self.trunk_key(modality)]

    def head_key(self, modality: str) -> str:
        """Which head classifies a modality. Heads that stay at home are split as the adapters are."""
        scope = self.trunk_scope if self.head_scope == "local" else self.head_scope
        return modality if scope == "modality" else SHARED

    def parts_of(self, modality: str) -> list[nn.Module]:
        """All modules that inputs of one modality go through."""
        return [
            self.tokenisers[modality],
            self.projectors[modality],
            self.trunk_of(modality),
            self.heads[self.head_key(modality)],
        ]

    def train_only(self, modality: str) -> None:
        """Training mode for the modules of one modality, evaluation mode for all others."""
        self.eval()
        for part in self.parts_of(modality):
            part.train()

    def embed(self, modality: str, x: Tensor) -> Tensor:
        """Inputs of one modality [B, ...] -> pooled embeddings z [B, D]."""
        tokens = self.tokenisers[modality](x)
        pooled_BD = pool(self.trunk_of(modality), tokens, bfloat16=in_bfloat16(self.config, x.device))
        return self.normalise(self.projectors[modality](pooled_BD))  # type: ignore[no-any-return]

    def classify(self, modality: str, z_BD: Tensor) -> Tensor:
        """Pooled embeddings [B, D] -> logits [B, C]."""
        return self.heads[self.head_key(modality)](z_BD)  # type: ignore[no-any-return]

    def groups(self) -> dict[str, dict[str, nn.Parameter]]:
        """Every group that could travel, with its live parameters."""
        groups = {group_name("trunk", key): shared_tensors(trunk) for key, trunk in self.trunks.items()}
        groups |= {f"tokeniser.{m}": self._tokeniser_group(m) for m in self.tokenisers}
        if self.head_scope != "local":
            groups |= {group_name("head", key): dict(head.named_parameters()) for key, head in self.heads.items()}
        return groups

    def _tokeniser_group(self, modality: str) -> dict[str, nn.Parameter]:
        projector = {f"projector.{name}": p for name, p in self.projectors[modality].named_parameters()}
        return dict(self.tokenisers[modality].named_parameters()) | projector

    def load_groups(self, groups: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Copies tensors of groups into the model; KeyError or RuntimeError where one does not fit."""
        own = self.groups()
        with torch.no_grad():
            for name, tensors in groups.items():
                for key, tensor in tensors.items():
                    own[name][key].copy_(tensor)

    def private_tensors(self, travelling: Sequence[str]) -> dict[str, Tensor]:
        """Trained tensors that no travelling group holds: magnitudes, local heads, groups kept at home."""
        private = {
            f"{group_name('magnitude', key)}/{name}": p
            for key, trunk in self.trunks.items()
            for name, p in local_tensors(trunk).items()
        }
        for group, tensors in self.groups().items():
            if group not in travelling:
                private |= {f"{group}/{name}": p for name, p in tensors.items()}
        if self.head_scope == "local":
            private |= {f"head/{name}": p for name, p in self.heads.named_parameters()}
        return {name: tensor.detach() for name, tensor in private.items()}

    def load_private(self, saved: Mapping[str, Tensor], travelling: Sequence[str]) -> None:
        """Copies what `private_tensors` gave back into the model, but for what travels by now or has another shape."""
        restore(self.private_tensors(travelling), saved)


def group_name(part: str, key: str) -> str:
    """Name of a part of the model that all modalities share, or of one modality's own."""
    return part if key == SHARED else f"{part}.{key}"


def trainable_parameters(*modules: nn.Module) -> list[nn.Parameter]:
    """Parameters that an optimiser should change."""
    return [parameter for module in modules for parameter in module.parameters() if parameter.requires_grad]
