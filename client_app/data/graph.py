"""Graphs whose nodes have features of several modalities: a whole one as a reader gives it, and one party's part of it.

Legend: N nodes, F features, E directed edges (an undirected edge is there in both directions), P pairs of nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from client_app.data.packs import PackFile

TRAIN, VALIDATION, TEST = "train", "validation", "test"


@dataclass(frozen=True)
class NodeGraph:
    """What one party holds: nodes, the edges among them, and whose labels it learns from.

    Attributes:
        name: of the party.
        x: per modality the features [N, F], zero for a node that lacks it.
        present: per modality which nodes have it [N].
        y: class of each node [N]; those outside ``train`` are for tests alone.
        edges: [2, E], source above target.
        parts: indices of the nodes in `TRAIN`, `VALIDATION` and `TEST`, which share none.
        ids: a name for each node that is unique in its graph.
        questions: per split what is asked of it, where the task is no class, see `client_app.data.questions`.
    """

    name: str
    x: Mapping[str, Tensor]
    present: Mapping[str, Tensor]
    y: Tensor
    edges: Tensor
    parts: Mapping[str, Tensor]
    ids: tuple[str, ...]
    questions: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(self.x)

    @property
    def sizes(self) -> dict[str, int]:
        """Nodes that have each modality."""
        return {modality: int(has.sum()) for modality, has in self.present.items()}

    def of_nodes(self, name: str, index: Tensor) -> NodeGraph:
        """The part of the graph with the nodes at `index`, in that order, and the edges among them."""
        place_N = torch.full((len(self),), -1)
        place_N[index] = torch.arange(len(index))
        edges = place_N[self.edges]
        return NodeGraph(
            name,
            {m: x[index] for m, x in self.x.items()},
            {m: has[index] for m, has in self.present.items()},
            self.y[index],
            edges[:, (edges >= 0).all(0)],
            {part: kept[kept >= 0] for part, nodes in self.parts.items() for kept in [place_N[nodes]]},
            tuple(self.ids[i] for i in index.tolist()),
        )


@dataclass(frozen=True)
class Texts:
    """Texts of the nodes of a graph, for an encoder that a run names.

    Attributes:
        file: the pack file that they are in.
        read: from the data folder to the text of each node by its id. A node without one lacks the modality then.
    """

    file: PackFile
    read: Callable[[Path], Mapping[str, str]]


@dataclass(frozen=True)
class GraphSource:
    """A graph that can be read.

    Attributes:
        name: how a scenario names it.
        concepts: its classes.
        widths: per modality the number of features F.
        clients: how many parties share it out.
        files: the pack files it reads.
        read: from the data folder and a seed to the whole graph. Where splits are published the seed chooses among them, or
            is not used.
        texts: the modalities whose features are vectors of texts that can be had too.
    """

    name: str
    concepts: tuple[str, ...]
    widths: Mapping[str, int]
    clients: int
    files: tuple[PackFile, ...]
    read: Callable[[Path, int], NodeGraph]
    texts: Mapping[str, Texts] = field(default_factory=dict)


def graph_of_words(
    name: str, modality: str, x_NF: Tensor, y_N: Tensor, pair_P2: Tensor, parts: Mapping[str, Tensor]
) -> NodeGraph:
    """A graph of one modality that all nodes have: counts that are not negative, scaled to sum to one in each node."""
    return NodeGraph(
        name,
        {modality: x_NF / x_NF.sum(1, keepdim=True).clamp(min=1)},
        {modality: torch.ones(len(x_NF), dtype=torch.bool)},
        y_N,
        both_directions(pair_P2),
        parts,
        tuple(f"{name}/{node}" for node in range(len(x_NF))),
    )


def both_directions(pair_P2: Tensor) -> Tensor:
    """Directed edges [2, E] of undirected pairs; no loops, each once."""
    pair_P2 = pair_P2[pair_P2[:, 0] != pair_P2[:, 1]].long()
    both = torch.cat([pair_P2, pair_P2.flip(1)])
    edge_2E: Tensor = both.unique(dim=0).T
    return edge_2E.contiguous()
