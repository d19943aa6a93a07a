"""Networks with the layers of PyTorch Geometric: GCN (Kipf & Welling 2017), GraphSAGE (Hamilton et al. 2017), and an MLP.

The first layer is one a modality, and their outputs are summed: for one modality it is the network as published.

Legend: see `client_app.graphs.network`.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping
from functools import partial
from types import ModuleType

import torch
from torch import Tensor, nn

from client_app.data.graph import NodeGraph
from client_app.graphs.features import drop, project
from client_app.graphs.network import GraphNetwork, Layer, Seen, made
from concord.config import RunConfig
from concord.errors import ConcordError


class Dense(nn.Module):
    """A linear layer that is given edges and does not look at them."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, x_NF: Tensor, edge_2E: Tensor) -> Tensor:
        return project(x_NF, self.linear)


class GcnEntrance(nn.Module):
    """GCN's layer with the product before the propagation, which gives the same: so features may be sparse."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)
        nn.init.xavier_uniform_(self.linear.weight)  # as GCNConv does
        self.propagate = _geometric("gcn").GCNConv(outputs, outputs, normalize=False)
        self.propagate.lin = nn.Identity()  # the bias stays

    def forward(self, x_NF: Tensor, edge_2E: Tensor, weight_E: Tensor) -> Tensor:
        y_NH: Tensor = self.propagate(project(x_NF, self.linear), edge_2E, weight_E)
        return y_NH


class SageEntrance(nn.Module):
    """GraphSAGE's layer with the products before the mean over the neighbours, likewise."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.own, self.theirs = nn.Linear(inputs, outputs), nn.Linear(inputs, outputs, bias=False)
        self.mean = _geometric("sage").SimpleConv("mean")

    def forward(self, x_NF: Tensor, edge_2E: Tensor) -> Tensor:
        y_NH: Tensor = project(x_NF, self.own) + self.mean(project(x_NF, self.theirs), edge_2E)
        return y_NH


def entrance_of(architecture: str) -> Layer:
    """The first layer of an architecture, which takes features dense or sparse."""
    kinds: dict[str, Layer] = {"gcn": GcnEntrance, "sage": SageEntrance, "mlp": Dense}
    return kinds[architecture]


def layer_of(architecture: str) -> Layer:
    """Its other layers; ConcordError C103 where PyTorch Geometric is missing."""
    if architecture == "mlp":
        return Dense
    geometric = _geometric(architecture)
    kinds: dict[str, Layer] = {"gcn": partial(geometric.GCNConv, normalize=False), "sage": geometric.SAGEConv}
    return kinds[architecture]


def paths_of(architecture: str, edge_2E: Tensor, nodes: int) -> tuple[Tensor, ...]:
    """Where an architecture's layers send values along: edges, and GCN's weights of them with those of nodes to themselves."""
    if architecture != "gcn":
        return (edge_2E,)
    paths: tuple[Tensor, Tensor] = _geometric("gcn").conv.gcn_conv.gcn_norm(edge_2E, num_nodes=nodes)
    return paths


def _geometric(architecture: str) -> ModuleType:
    """The layers of PyTorch Geometric.

    Raises:
        ConcordError: C103, when it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it uses what torch deprecates, and asks for packages that are not needed
            return importlib.import_module("torch_geometric.nn")
    except ImportError as error:
        what = f"graph.architecture = {architecture} needs PyTorch Geometric, which is not installed"
        raise ConcordError("C103", what, 'install it: pip install -e ".[graphs]", or choose mlp or stage') from error


class LayeredNetwork(GraphNetwork):
    """Layers with ReLU and dropout between.

    Args:
        config: the run.
        widths: F of each modality.
        outputs: O.
    """

    layers: nn.ModuleList

    def __init__(self, config: RunConfig, widths: Mapping[str, int], outputs: int) -> None:
        super().__init__()
        entrance, layer, settings = entrance_of(config.architecture), layer_of(config.architecture), config.graph
        self.architecture = config.architecture
        self._along: tuple[Tensor, tuple[Tensor, ...]] | None = None
        self.dropout, self._width = settings.dropout, settings.hidden
        first = outputs if settings.layers == 1 else settings.hidden
        self.inputs = nn.ModuleDict({m: made(config, entrance, width, first, "input", m) for m, width in widths.items()})
        self.layers = nn.ModuleList(
            made(config, layer, settings.hidden, settings.hidden, "layer", str(i)) for i in range(settings.layers - 2)
        )
        self.head = nn.Identity() if settings.layers == 1 else made(config, layer, settings.hidden, outputs, "head")

    @property
    def width(self) -> int:
        return self._width

    def forward(self, graph: NodeGraph) -> Seen:
        paths = self._paths(graph)
        kept = {m: drop(graph.x[m], self.dropout, training=self.training) for m in graph.modalities}
        hidden_NH = torch.stack([self.inputs[m](x_NF, *paths) for m, x_NF in kept.items()]).sum(0)
        if isinstance(self.head, nn.Identity):
            return Seen(hidden_NH, hidden_NH)
        hidden_NH = hidden_NH.relu()
        for layer in self.layers:
            hidden_NH = layer(drop(hidden_NH, self.dropout, training=self.training), *paths).relu()
        return Seen(hidden_NH, self.head(drop(hidden_NH, self.dropout, training=self.training), *paths))

    def _paths(self, graph: NodeGraph) -> tuple[Tensor, ...]:
        """Those of the graph; kept for the edges that were seen last, since all steps of a round have the same."""
        if self._along is None or self._along[0] is not graph.edges:
            self._along = graph.edges, paths_of(self.architecture, graph.edges, len(graph))
        return self._along[1]
