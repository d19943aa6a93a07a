"""Data as nodes have it, and the figures that a federation of real processes must reach."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from real_federation import NODES, run_config
from rich.console import Console
from tiny_run import NamedNodes

from concord import deployment
from concord.commands.inspect import deal_data, write_anchors
from server_app.results import Result
from server_app.run import open_run


@pytest.fixture(scope="module", autouse=True)
def seldom_asked() -> Iterator[None]:
    """How a run is, is asked less often than people want to know it: every time a process computes for a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deployment, "POLL_SECONDS", 5.0)
        yield


@pytest.fixture(scope="session")
def dealt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders with the data of the nodes and the public anchors."""
    folder = tmp_path_factory.mktemp("dealt")
    quiet = Console(quiet=True)
    deal_data(folder, "demo", "labelled", None, 0, NODES, quiet)
    write_anchors(folder / "anchors", "demo", "labelled", None, 0, quiet)
    return folder


@pytest.fixture(scope="session")
def undisturbed(dealt: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """The result of the same run in one process."""
    config = run_config(tmp_path_factory.mktemp("undisturbed") / "run", dealt)
    return open_run(config, NamedNodes(config, NODES)).rounds()
