"""Who holds which nodes of a graph: communities by Louvain's method (Blondel et al. 2008), put together to parties."""

from __future__ import annotations

import networkx
import torch
from torch import Tensor


def deal_communities(edge_2E: Tensor, nodes: int, parties: int, seed: int) -> list[Tensor]:
    """Node indices of each party, ascending: whole communities, the largest first to whom has the fewest nodes.

    Where there are fewer communities than parties, the largest are cut in halves, by index.
    """
    graph = networkx.Graph()
    graph.add_nodes_from(range(nodes))
    graph.add_edges_from(edge_2E.T.tolist())
    found = networkx.community.louvain_communities(graph, seed=seed % 2**32)
    communities = sorted((sorted(c) for c in found), key=lambda c: (-len(c), c))
    while len(communities) < parties:
        largest = max(communities, key=len)
        communities.remove(largest)
        communities += [largest[: len(largest) // 2], largest[len(largest) // 2 :]]
        communities.sort(key=lambda c: (-len(c), c))
    held: list[list[int]] = [[] for _ in range(parties)]
    for community in communities:
        min(held, key=len).extend(community)
    return [torch.tensor(sorted(own)) for own in held]
