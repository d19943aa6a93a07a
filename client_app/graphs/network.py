"""What the networks of graphs have in common: from features of several modalities and edges to a class or an embedding of each
node.

Legend: N nodes, M modalities, F features, E directed edges, H hidden width, K anchors, D width of the shared space, O
outputs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor, nn

from client_app.data.graph import NodeGraph
from concord.config import RunConfig
from concord.seeding import seeded

Group = dict[str, nn.Parameter]
Layer = Callable[[int, int], nn.Module]  # from the widths before and after it


@dataclass(frozen=True)
class Seen:
    """What a network makes of a graph.

    Attributes:
        hidden_NH: what is before the last layer.
        out_NO: what comes out: logits of the classes, or where nodes are ranked an embedding.
        u_MND, q_NK, z_ND: of STAGE, each modality in the shared space, the shares of the anchors, and the translation.
        temperature_N, gate_N: of STAGE, how each node listens to its neighbours.
    """

    hidden_NH: Tensor
    out_NO: Tensor
    u_MND: Tensor | None = None
    q_NK: Tensor | None = None
    z_ND: Tensor | None = None
    temperature_N: Tensor | None = None
    gate_N: Tensor | None = None


class GraphNetwork(nn.Module, ABC):
    """A network whose parts travel as groups: ``input.<modality>``, ``layers`` and ``head``.

    Attributes:
        inputs: what is particular to each modality.
        layers: what all share.
        head: the last one.
    """

    inputs: nn.ModuleDict
    layers: nn.Module
    head: nn.Module

    @property
    @abstractmethod
    def width(self) -> int:
        """Width H of what is before the last layer."""

    @abstractmethod
    def forward(self, graph: NodeGraph) -> Seen:
        """Sees a whole graph; it must have at least one of the modalities of the network, and none beside them."""

    def groups(self) -> dict[str, Group]:
        """Live parameters by group."""
        groups = {f"input.{m}": dict(module.named_parameters()) for m, module in self.inputs.items()}
        groups |= {"layers": dict(self.layers.named_parameters()), "head": dict(self.head.named_parameters())}
        return {name: group for name, group in groups.items() if group}


def without_modality(graph: NodeGraph, modality: str) -> NodeGraph:
    """The graph as if no node had a modality."""
    x, present = dict(graph.x), dict(graph.present)
    x[modality], present[modality] = x[modality] * 0, present[modality] & False
    return replace(graph, x=x, present=present)


def with_only(graph: NodeGraph, modality: str) -> NodeGraph:
    """The graph as if nodes had nothing but a modality."""
    return replace(graph, x={modality: graph.x[modality]}, present={modality: graph.present[modality]})


def made(config: RunConfig, layer: Layer, inputs: int, outputs: int, *purpose: str) -> nn.Module:
    """A layer whose initial weights depend on the run's seed and its purpose alone."""
    with seeded(config.seed, "graph", *purpose):
        return layer(inputs, outputs)
