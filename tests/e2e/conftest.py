"""A graph of three parties, for runs that take a moment."""

from __future__ import annotations

import pytest
from made_up_graph import write_texas
from tiny_run import Settings


@pytest.fixture(scope="package")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    data = write_texas(tmp_path_factory.mktemp("packs"))
    return {
        "suite": "heterophily",
        "scenario": "graph=texas",
        "data": str(data),
        "method": "stage",
        "lr": 0.01,
        "graph.hidden": 16,
    }
