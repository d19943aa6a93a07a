"""STAGE (Chen et al., arXiv 2605.11919), reconstructed: features are translated to shares of shared anchors, then propagated.

u = W_m x; q = softmax of cosines with the frozen anchors, mean over the modalities that a node has; z = q A. A controller sees
how alike a node and its neighbours are, and sets the temperature at which it listens to them and the gate between them and
itself. What is propagated is z and, beside it, the party's own features (ours: a few anchors tell less of a node than its
features do). Where nodes are ranked, what the last layer gives is the embedding, without ReLU and classifier. The anchors follow
from the run's seed; nothing else of the network is the same at two parties.

Legend: see `client_app.graphs.network`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from client_app.data.graph import NodeGraph
from client_app.graphs.features import drop, project
from client_app.graphs.network import GraphNetwork, Seen, made
from concord.config import RunConfig
from concord.functional.propagation import edge_cosines, local_statistics, neighbour_mean, neighbour_shares
from concord.functional.semantics import entropy, mean_shares, semantic_anchors, shares
from concord.seeding import generator_for

LEAST_TEMPERATURE = 0.05
STATISTICS, CONTROL_WIDTH = 4, 8


class StageNetwork(GraphNetwork):
    """Translation, control, and layers of controlled propagation.

    Args:
        config: the run.
        widths: F of each modality.
        outputs: O.
    """

    anchor_KD: Tensor

    def __init__(self, config: RunConfig, widths: Mapping[str, int], outputs: int) -> None:
        super().__init__()
        settings, self.dropout = config.stage, config.graph.dropout
        self.settings = settings
        anchors = semantic_anchors(settings.anchors, settings.width, generator_for(config.seed, "semantic-anchors"))
        self.register_buffer("anchor_KD", anchors, persistent=False)
        self.inputs = nn.ModuleDict({m: Entrance(config, m, width) for m, width in widths.items()})
        self.layers = ControlledPropagation(config)
        self.head = made(config, nn.Linear, config.graph.hidden, outputs, "head") if config.task == "classes" else nn.Identity()
        self._width = config.graph.hidden

    @property
    def width(self) -> int:
        return self._width

    def forward(self, graph: NodeGraph) -> Seen:
        kept = {m: drop(graph.x[m], self.dropout, training=self.training) for m in graph.modalities}
        entered = {m: cast(Entrance, self.inputs[m]) for m in kept}
        u_MND = torch.stack([project(x_NF, entered[m].translation) for m, x_NF in kept.items()])
        q_MNK = torch.stack([shares(u_ND, self.anchor_KD, self.settings.anchor_temperature) for u_ND in u_MND])
        q_NK = mean_shares(q_MNK, torch.stack([graph.present[m] for m in graph.modalities]))
        z_ND = q_NK @ self.anchor_KD
        apart_ND = F.rms_norm((q_NK - 1 / q_NK.shape[1]) @ self.anchor_KD, (self.settings.width,))
        own = [project(x_NF, entered[m].own) for m, x_NF in kept.items()] if self.settings.own_features else []
        beside = [F.rms_norm(torch.stack(own).sum(0), (self._width,))] if own else []
        hidden_NH, temperature_N, gate_N = self.layers(apart_ND, beside, q_NK, graph.edges)
        ranks = isinstance(self.head, nn.Identity)
        out_NO = hidden_NH if ranks else self.head(drop(hidden_NH, self.dropout, training=self.training))
        return Seen(hidden_NH, out_NO, u_MND, q_NK, z_ND, temperature_N, gate_N)


class Entrance(nn.Module):
    """What is particular to a modality: its translation to the shared space, and what its features are propagated as."""

    def __init__(self, config: RunConfig, modality: str, features: int) -> None:
        super().__init__()
        self.translation = cast(nn.Linear, made(config, _directions, features, config.stage.width, "translation", modality))
        if config.stage.own_features:
            self.own = cast(nn.Linear, made(config, _directions, features, config.graph.hidden, "own-features", modality))


class ControlledPropagation(nn.Module):
    """Layers in which a controller says how each node listens to its neighbours, the same in all of them."""

    def __init__(self, config: RunConfig) -> None:
        super().__init__()
        self.controlled, self.dropout = config.stage.homophily_control, config.graph.dropout
        self.classifies = config.task == "classes"
        first = config.stage.width + config.graph.hidden * config.stage.own_features
        depths = [*pairwise([first] + [config.graph.hidden] * config.graph.layers)]
        self.own = nn.ModuleList(made(config, nn.Linear, *depth, "own", str(i)) for i, depth in enumerate(depths))
        self.theirs = (
            nn.ModuleList(made(config, nn.Linear, *depth, "theirs", str(i)) for i, depth in enumerate(depths))
            if config.stage.neighbour_weights
            else self.own
        )
        self.heat, self.gate = _controller(config, "heat"), _controller(config, "gate")

    def forward(self, z_ND: Tensor, beside: Sequence[Tensor], q_NK: Tensor, edge_2E: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What comes out of z and what is propagated beside it [N, H], and the temperature and gate [N] of each node."""
        cosine_E = edge_cosines(z_ND, edge_2E)
        temperature_N, gate_N = self._control(cosine_E, q_NK, edge_2E)
        share_E = neighbour_shares(cosine_E, temperature_N, edge_2E)
        hidden_NH = torch.cat([z_ND, *beside], dim=1)
        for depth, (own, theirs) in enumerate(zip(self.own, self.theirs, strict=True), 1):
            hidden_NH = drop(hidden_NH, self.dropout, training=self.training)
            from_others_NH = neighbour_mean(theirs(hidden_NH), share_E, edge_2E)
            hidden_NH = (1 - gate_N)[:, None] * own(hidden_NH) + gate_N[:, None] * from_others_NH
            if depth < len(self.own) or self.classifies:
                hidden_NH = hidden_NH.relu()
        return hidden_NH, temperature_N, gate_N

    def _control(self, cosine_E: Tensor, q_NK: Tensor, edge_2E: Tensor) -> tuple[Tensor, Tensor]:
        """Temperature and gate [N] of each node."""
        if not self.controlled:
            return torch.ones_like(q_NK[:, 0]), torch.full_like(q_NK[:, 0], 0.5)
        mean_N, variance_N, degree_N = local_statistics(cosine_E, edge_2E, len(q_NK))
        seen_N4 = torch.stack([mean_N, variance_N, entropy(q_NK), (1 + degree_N).log()], dim=1)
        return LEAST_TEMPERATURE + F.softplus(self.heat(seen_N4))[:, 0], self.gate(seen_N4).sigmoid()[:, 0]


def _directions(inputs: int, outputs: int) -> nn.Linear:
    return nn.Linear(inputs, outputs, bias=False)  # directions alone are used: a bias would hide small features


def _controller(config: RunConfig, name: str) -> nn.Module:
    first = made(config, nn.Linear, STATISTICS, CONTROL_WIDTH, name, "in")
    return nn.Sequential(first, nn.Tanh(), made(config, nn.Linear, CONTROL_WIDTH, 1, name, "out"))
