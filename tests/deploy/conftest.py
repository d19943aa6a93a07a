"""Data as nodes have it, and the figures that a federation of real processes must reach."""

from __future__ import annotations

from pathlib import Path

import pytest
from real_federation import NODES, run_config
from tiny_run import NamedNodes

from client_app.data.federation import build_federation
from client_app.data.node_folder import Origin, save_node
from concord.anchors import save_anchors
from server_app.results import Result
from server_app.run import open_run


@pytest.fixture(scope="session")
def dealt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders with the data of the nodes and the public anchors."""
    folder = tmp_path_factory.mktemp("dealt")
    federation = build_federation("demo", None, 0, "labelled")
    for node in federation.nodes:
        if node.name in NODES:
            save_node(folder / node.name, node, federation.anchors, Origin("demo", 0, "labelled"))
    save_anchors(federation.anchors, folder / "anchors")
    return folder


@pytest.fixture(scope="session")
def undisturbed(dealt: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """The result of the same run in one process."""
    config = run_config(tmp_path_factory.mktemp("undisturbed") / "run", dealt)
    return open_run(config, NamedNodes(config, NODES)).rounds()
