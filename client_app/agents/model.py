"""What the models of all agents have in common: an encoder a modality, from scratch, and parts that may travel.

Legend: B batch, D width of the trunk, C classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from client_app.encoders import encoder_of
from client_app.trunk import adapt_trunk, build_trunk, in_bfloat16, pool, shared_tensors
from concord.config import RunConfig
from concord.kinds import kind_of
from concord.seeding import seeded

Part = dict[str, nn.Parameter]


class Encoder(nn.Module):
    """Inputs of one modality [B, ...] -> pooled output of the trunk [B, D].

    Its initial weights depend on the run's seed and the modality alone, so all agents start alike.
    """

    def __init__(self, config: RunConfig, modality: str) -> None:
        super().__init__()
        self.config = config
        self.trunk = adapt_trunk(build_trunk(config), config, config.adapter.rank)
        self.width = int(self.trunk.config.hidden_size)  # type: ignore[union-attr, arg-type]
        with seeded(config.seed, "tokeniser", modality):
            self.tokeniser = encoder_of(config, modality).build(self.width)

    def forward(self, x: Tensor) -> Tensor:
        return pool(self.trunk, self.tokeniser(x), bfloat16=in_bfloat16(self.config, x.device))

    def part(self) -> Part:
        """What of it travels."""
        return {f"trunk.{n}": p for n, p in shared_tensors(self.trunk).items()} | prefixed("tokeniser", self.tokeniser)


class AgentModel(nn.Module, ABC):
    """The model of one agent: an encoder for each modality that it holds, and what is behind them.

    Args:
        config: the run.
        modalities: those of the agent, all of them in every sample.
        classes: C.
    """

    def __init__(self, config: RunConfig, modalities: Sequence[str], classes: int) -> None:
        super().__init__()
        self.config, self.modalities, self.classes = config, tuple(modalities), classes
        self.encoders = nn.ModuleDict({m: Encoder(config, m) for m in modalities})

    @property
    def kind(self) -> str:
        """Which modalities it has, as one name."""
        return kind_of(self.modalities)

    @abstractmethod
    def parts(self) -> dict[str, Part]:
        """Everything that could travel, in pieces that a method puts slices together from."""

    @abstractmethod
    def losses(self, inputs: Mapping[str, Tensor], y_B: Tensor, progress: float) -> dict[str, Tensor]:
        """Named scalar terms of the objective.

        Args:
            inputs: per modality the inputs [B, ...] of the same B instances.
            y_B: their classes.
            progress: share of the run that is over, from 0 to below 1.
        """

    @abstractmethod
    def votes(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Logits [B, C] by what they are from; the prediction is their mean."""

    def figures(self, votes: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Logits [B, C] of all predictions that are measured, by name: that of all votes under the name of the kind."""
        return {self.kind: mean_of(votes.values())}

    def exchanges(self, slice_: str, progress: float) -> bool:
        """Whether a slice is said, and mixed, once that share of the run is over."""
        return True

    def trained(self) -> dict[str, nn.Parameter]:
        """Every parameter that is trained, by name."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}


def prefixed(prefix: str, module: nn.Module) -> Part:
    """Parameters of a module by name, with a prefix."""
    return {f"{prefix}.{name}": p for name, p in module.named_parameters()}


def linear(config: RunConfig, inputs: int, outputs: int, *purpose: str) -> nn.Linear:
    """A linear layer whose initial weights depend on the run's seed and its purpose alone."""
    with seeded(config.seed, *purpose):
        return nn.Linear(inputs, outputs)


def mean_of(logits: Iterable[Tensor]) -> Tensor:
    """Mean of logits [B, C]."""
    return torch.stack(list(logits)).mean(0)
