"""How the nodes of a party listen to their neighbours, by how many of these have their class: what it tells of it.

A measure, like accuracy: nothing is learnt from it, so the classes of nodes that are held out count too.

Legend: see `client_app.graphs.network`.
"""

from __future__ import annotations

import torch

from client_app.data.graph import NodeGraph
from client_app.graphs.network import GraphNetwork
from concord.functional.propagation import local_homophily, means_by_homophily
from concord.wire.homophily import BINS, homophily_to_wire
from concord.wire.v1 import federation_pb2 as pb


@torch.no_grad()
def control_by_homophily(network: GraphNetwork, graph: NodeGraph) -> list[pb.HomophilyBin]:
    """Mean temperature and gate in bins of local homophily, over nodes that have a modality, and a neighbour whose
    class is known, as is theirs.
    """
    network.eval()
    seen = network(graph)
    if seen.temperature_N is None or seen.gate_N is None:
        raise ValueError("only STAGE's network controls how nodes listen")
    described_N = torch.stack([*graph.present.values()]).any(0)
    known_E = (graph.y[graph.edges] >= 0).all(0) & described_N[graph.edges[1]]
    homophily_N = local_homophily(graph.y, graph.edges[:, known_E])
    mean_B2, count_B = means_by_homophily(homophily_N, torch.stack([seen.temperature_N, seen.gate_N], dim=1), BINS)
    return homophily_to_wire(mean_B2.cpu(), count_B.cpu())
