"""What is particular to runs on graphs: their suites, the methods that train them, and how semantics may drift."""

from __future__ import annotations

from typing import Literal, get_args

GRAPHS = ("citation", "heterophily", "world")  # suites
GRAPH_METHODS = ("stage", "fedavg", "fedproto", "local", "centralised")
Drift = Literal["none", "encoder", "rotation"]
DRIFTS: tuple[Drift, ...] = get_args(Drift)
