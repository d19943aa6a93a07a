"""Networks by architecture."""

from __future__ import annotations

from collections.abc import Mapping

from client_app.graphs.layered import LayeredNetwork
from client_app.graphs.network import GraphNetwork
from client_app.graphs.stage import StageNetwork
from concord.config import RunConfig


def build_network(config: RunConfig, widths: Mapping[str, int], classes: int) -> GraphNetwork:
    """The network of a run before round 1; where nodes are ranked it gives embeddings as wide as its hidden layers.

    Args:
        widths: features of each modality; they may be 0, where nothing is computed.

    Raises:
        ConcordError: C103, when a package is missing that it needs.
    """
    kind: type[StageNetwork] | type[LayeredNetwork] = StageNetwork if config.architecture == "stage" else LayeredNetwork
    return kind(config, widths, classes if config.task == "classes" else config.graph.hidden)
