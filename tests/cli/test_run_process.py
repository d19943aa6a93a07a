"""`concord run` as a user calls it, in Flower's real simulation."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from concord.run_folder import RunFolder
from server_app.checkpoint import FILE as CHECKPOINT
from server_app.results import load_result

ROOT = Path(__file__).parents[2]
TINY = ("--set", "local-steps=2", "--set", "warmup.steps=2", "--set", "batch-size=8", "--set", "device=cpu")


def concord_run(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from concord.cli import main; main()"
    return subprocess.run([sys.executable, "-c", code, "run", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=280)


@pytest.mark.process
@pytest.mark.timeout(600)
def test_run_then_go_on(tmp_path: Path, left_behind: Callable[[], list[str]]) -> None:
    folder = RunFolder(tmp_path / "run")
    done = concord_run("--suite", "demo", "--set", "rounds=1", *TINY, "--out", str(folder.path))
    assert done.returncode == 0, done.stderr
    assert [line.split("  ")[0] for line in done.stdout.splitlines()[1:3]] == ["round 1/1", "final evaluation"]
    assert str(folder.report) in done.stdout
    done = concord_run("--resume", str(folder.path), "--set", "rounds=2")
    assert done.returncode == 0, done.stderr
    assert [line["round"] for line in folder.read_metrics() if line["scope"] == "round"] == [1, 2, 3]
    assert [line for line in folder.read_metrics() if line["scope"] == "rejection"] == []
    assert load_result(folder.path).rounds == 2
    assert folder.report.exists()
    assert left_behind() == []


@pytest.mark.process
@pytest.mark.timeout(300)
def test_a_mistake_that_only_the_server_finds(tmp_path: Path, left_behind: Callable[[], list[str]]) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.checkpoint.mkdir(parents=True)
    (folder.checkpoint / CHECKPOINT).write_bytes(b"not a checkpoint")
    folder.config.write_text('{"suite": "demo", "device": "cpu", "warmup.steps": 2}')
    done = concord_run("--resume", str(folder.path))
    assert done.returncode == 1
    assert done.stderr.startswith("C404 the run failed: C402 a run cannot be resumed: ")
    assert left_behind() == []
