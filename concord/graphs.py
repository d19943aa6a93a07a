"""What is particular to runs on graphs: their suites, methods, drifts and tasks, and names on the wire."""

from __future__ import annotations

from typing import Literal, get_args

GRAPHS = ("citation", "heterophily", "world")  # suites that share out a published graph
OWN_GRAPH = "own-graph"  # a suite without packs: each folder is a party's part of a graph
GRAPH_SUITES = (*GRAPHS, OWN_GRAPH)
GRAPH_METHODS = ("stage", "fedavg", "fedproto", "local", "centralised")
Drift = Literal["none", "encoder", "rotation"]
DRIFTS: tuple[Drift, ...] = get_args(Drift)
Task = Literal["classes", "links", "retrieval"]
TASKS: tuple[Task, ...] = get_args(Task)
Architecture = Literal["gcn", "sage", "mlp", "stage"]
LINKS = "links"  # kind of the questions which node is linked to one


def direction(query: str, gallery: str) -> str:
    """Kind of the questions which node a view of one modality is of, among views of another."""
    return f"{query}->{gallery}"


def feature_encoder(features: int) -> str:
    """Name under which a party's census says how many features a modality has."""
    return f"features-{features}"
