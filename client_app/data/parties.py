"""Deals a graph out: communities to parties, modalities that parties lack, and the drift of what is left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from client_app.data.communities import deal_communities
from client_app.data.drift import encode, rotate
from client_app.data.graph import GraphSource, NodeGraph
from client_app.data.missing import drop_modalities
from client_app.data.node_data import POOLED
from client_app.data.questions import asked_about, together
from concord.errors import ConcordError
from concord.scenario import Scenario
from concord.seeding import derive_seed


def deal_graph(
    whole: NodeGraph, source: GraphSource, suite: str, scenario: Scenario, seed: int, *, pooled: bool
) -> tuple[tuple[NodeGraph, ...], Mapping[str, int]]:
    """The parties that share out a graph, and what all know of the modalities: how many features each has, 0 where parties
    have encoders of their own.

    Edges between parties are lost. One party that holds all (`pooled`) has them, and features without drift: there is one
    semantics where all data are in one place.

    Raises:
        ConcordError: C204, when the graph has no such task.
    """
    if scenario.task == "retrieval" and len(whole.modalities) == 1:
        what = f"scenario {scenario}: the nodes of {source.name} have one modality, and retrieval is from one to another"
        raise ConcordError("C204", what, "choose a graph of suite world, or another task")
    dealt = deal_communities(whole.edges, len(whole), source.clients, derive_seed(seed, suite, "communities"))
    names = [f"{source.name}-{number + 1}" for number in range(source.clients)]
    held = drop_modalities(dict.fromkeys(names, whole.modalities), scenario.missing, seed, suite)
    widths = {m: 0 if scenario.drift == "encoder" else x_NF.shape[1] for m, x_NF in whole.x.items()}
    parties = [
        asked_about(_holding(whole.of_nodes(name, index), held[name]), scenario.task, seed)
        for name, index in zip(names, dealt, strict=True)
    ]
    if pooled:
        blinded = _blinded(whole, dealt, [held[name] for name in names])
        return (replace(together(blinded, parties, dealt), name=POOLED),), widths
    return tuple(_drifted(party, scenario.drift, seed) for party in parties), widths


def _holding(graph: NodeGraph, modalities: tuple[str, ...]) -> NodeGraph:
    return replace(graph, x={m: graph.x[m] for m in modalities}, present={m: graph.present[m] for m in modalities})


def _blinded(whole: NodeGraph, dealt: list[Tensor], held: list[tuple[str, ...]]) -> NodeGraph:
    """The whole graph, each node with the modalities that its party holds."""
    present = {m: has.clone() for m, has in whole.present.items()}
    for index, modalities in zip(dealt, held, strict=True):
        for m in present.keys() - {*modalities}:
            present[m][index] = False
    x = {m: x_NF * present[m][:, None] for m, x_NF in whole.x.items()}
    return replace(whole, x=x, present=present)


def _drifted(graph: NodeGraph, drift: str, seed: int) -> NodeGraph:
    if drift == "none":
        return graph
    change = rotate if drift == "rotation" else encode
    return replace(graph, x={m: change(x, seed, "drift", graph.name, m) for m, x in graph.x.items()})
