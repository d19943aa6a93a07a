"""Networks with the layers of PyTorch Geometric: GCN (Kipf & Welling 2017), GraphSAGE (Hamilton et al. 2017), and an MLP.

The first layer is one a modality, and their outputs are summed: for one modality it is the network as published.

Legend: see `client_app.graphs.network`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from client_app.data.graph import NodeGraph
from client_app.graphs.network import GraphNetwork, Seen
from concord.config import RunConfig
from concord.errors import ConcordError
from concord.seeding import seeded

Layer = Callable[[int, int], nn.Module]


class Dense(nn.Module):
    """A linear layer that is given edges and does not look at them."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, x_NF: Tensor, edge_2E: Tensor) -> Tensor:
        y_NF: Tensor = self.linear(x_NF)
        return y_NF


def layer_of(architecture: str) -> Layer:
    """The kind of layer of an architecture.

    Raises:
        ConcordError: C103, when it needs PyTorch Geometric and that is not installed.
    """
    if architecture == "mlp":
        return Dense
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it uses what torch deprecates, and asks for packages that are not needed
            from torch_geometric.nn import GCNConv, SAGEConv
    except ImportError as error:
        what = f"graph.architecture = {architecture} needs PyTorch Geometric, which is not installed"
        raise ConcordError("C103", what, 'install it: pip install -e ".[graphs]", or choose mlp or stage') from error
    layers: dict[str, Layer] = {"gcn": GCNConv, "sage": SAGEConv}
    return layers[architecture]


class LayeredNetwork(GraphNetwork):
    """Layers with ReLU and dropout between; the last one is the classifier.

    Args:
        config: the run.
        widths: F of each modality.
        classes: C.
    """

    layers: nn.ModuleList

    def __init__(self, config: RunConfig, widths: Mapping[str, int], classes: int) -> None:
        super().__init__()
        layer, settings = layer_of(config.architecture), config.graph
        self.dropout, self._width = settings.dropout, settings.hidden
        first = classes if settings.layers == 1 else settings.hidden
        self.inputs = nn.ModuleDict({m: made(config, layer, width, first, "input", m) for m, width in widths.items()})
        self.layers = nn.ModuleList(
            made(config, layer, settings.hidden, settings.hidden, "layer", str(i)) for i in range(settings.layers - 2)
        )
        self.head = nn.Identity() if settings.layers == 1 else made(config, layer, settings.hidden, classes, "head")

    @property
    def width(self) -> int:
        return self._width

    def forward(self, graph: NodeGraph) -> Seen:
        edges = graph.edges
        first = [self.inputs[m](F.dropout(graph.x[m], self.dropout, self.training), edges) for m in graph.modalities]
        hidden_NH = torch.stack(first).sum(0)
        if isinstance(self.head, nn.Identity):
            return Seen(hidden_NH, hidden_NH)
        hidden_NH = hidden_NH.relu()
        for layer in self.layers:
            hidden_NH = layer(F.dropout(hidden_NH, self.dropout, self.training), edges).relu()
        return Seen(hidden_NH, self.head(F.dropout(hidden_NH, self.dropout, self.training), edges))


def made(config: RunConfig, layer: Layer, inputs: int, outputs: int, *purpose: str) -> nn.Module:
    """A layer whose initial weights depend on the run's seed and its purpose alone."""
    with seeded(config.seed, "graph", *purpose):
        return layer(inputs, outputs)
