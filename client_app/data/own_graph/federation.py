"""All parties of a run on an own graph that are on this machine: each folder in the data folder is one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch

from client_app.data.federation import Federation
from client_app.data.graph import NodeGraph
from client_app.data.node_data import POOLED
from client_app.data.own.federation import own_folders
from client_app.data.own_graph.layout import read_graph_folder
from client_app.data.own_graph.node import load_own_graph
from client_app.data.questions import together
from concord.anchors import AnchorSet
from concord.config import RunConfig
from concord.graphs import OWN_GRAPH


def own_graphs(config: RunConfig, anchors: AnchorSet, *, pooled: bool = False) -> Federation:
    """All parties below the run's data folder; `pooled`: one that holds what all hold. Raises as `load_own_graph`."""
    folders = own_folders(config, lambda folder: read_graph_folder(folder).name)
    graphs = tuple(load_own_graph(folder, config, anchors) for folder in folders.values())
    parties = (side_by_side(graphs),) if pooled else graphs
    return Federation(OWN_GRAPH, anchors.concepts, tuple(sorted(anchors.modalities)), (), anchors, parties)


def side_by_side(parties: Sequence[NodeGraph]) -> NodeGraph:
    """One graph of the nodes of all parties, with what each is asked; nobody knows of an edge from one to another."""
    *starts, nodes = accumulate(map(len, parties), initial=0)
    dealt = [torch.arange(start, start + len(party)) for start, party in zip(starts, parties, strict=True)]
    widths = {m: x.shape[1] for party in parties for m, x in party.x.items()}
    whole = NodeGraph(
        POOLED,
        {m: torch.zeros(nodes, width) for m, width in widths.items()},
        {m: torch.zeros(nodes, dtype=torch.bool) for m in widths},
        torch.cat([party.y for party in parties]),
        torch.cat([index[party.edges] for index, party in zip(dealt, parties, strict=True)], dim=1),
        {part: torch.cat([i[p.parts[part]] for i, p in zip(dealt, parties, strict=True)]) for part in parties[0].parts},
        tuple(id_ for party in parties for id_ in party.ids),
    )
    for index, party in zip(dealt, parties, strict=True):
        for m in party.modalities:
            whole.x[m][index], whole.present[m][index] = party.x[m], party.present[m]
    return together(whole, parties, dealt)
