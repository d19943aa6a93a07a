"""A model folder of a run on suite `demo`, made once; tests that change it take a copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tiny_run import open_tiny

from concord.run_folder import RunFolder
from server_app.run import Run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of all three modalities."""
    run = open_tiny(tmp_path_factory.mktemp("using") / "run", {"lr": 0.05, "local-steps": 8})
    run.rounds()
    return run


@pytest.fixture
def folder(run: Run, tmp_path: Path) -> Path:
    """A copy of its model folder."""
    return shutil.copytree(RunFolder(run.folder.path).model, tmp_path / "model")
