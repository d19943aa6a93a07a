"""A run whose processes are all killed in the middle of a round goes on, and gives the figures of one left alone."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from client_app.app import app
from client_app.data.federation import build_federation
from concord.config import parse_config
from concord.processes import MARK
from concord.run_folder import RunFolder
from server_app.in_process import InProcessGrid
from server_app.results import Result, load_result
from server_app.run import open_run

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-c", "from concord.cli import main; main()", "run")
SETTINGS = {"rounds": 4, "local-steps": 3, "warmup.steps": 4, "batch-size": 8, "device": "cpu"}
OWN = {"seconds", "versions", "bytes"}  # what may differ: time, and the trunk base that is sent once more


@pytest.mark.process
@pytest.mark.timeout(600)
def test_killed_in_the_middle_of_a_round(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    settings = [part for key, value in SETTINGS.items() for part in ("--set", f"{key}={value}")]
    command = [*COMMAND, "--suite", "demo", *settings, "--out", str(folder.path), "--quiet"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        wait_for_private_state_of_round(folder, 3, run)
        victims = list(family_of(run.pid))
        for victim in victims:
            victim.kill()
    psutil.wait_procs(victims, timeout=10)
    rounds = [line["round"] for line in folder.read_metrics() if line["scope"] == "round"]
    assert rounds == [1, 2], "the kill was to come in the middle of round 3"

    done = subprocess.run(
        [*COMMAND, "--resume", str(folder.path), "--quiet"], cwd=ROOT, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr

    resumed = load_result(folder.path).model_dump(exclude=OWN)
    assert resumed == left_alone(tmp_path / "alone").model_dump(exclude=OWN)


def wait_for_private_state_of_round(folder: RunFolder, round_: int, run: subprocess.Popen[bytes]) -> None:
    """Returns when one node has done its part of the round, and the others are still to come."""
    deadline = time.monotonic() + 240
    while not list(folder.nodes.glob(f"*/*/round-{round_:06d}.safetensors")):
        assert run.poll() is None, f"the run ended early with {run.returncode}"
        assert time.monotonic() < deadline, "the run did not get that far"
        time.sleep(0.005)


def family_of(pid: int) -> Iterator[psutil.Process]:
    """The command and every process that it started, Ray's included."""
    marks = {environment(child).get(MARK) for child in psutil.Process(pid).children()} - {None}
    yield psutil.Process(pid)
    yield from (process for process in psutil.process_iter() if environment(process).get(MARK) in marks)


def environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {}


def left_alone(path: Path) -> Result:
    """The same run without a kill, in this process: the grid makes no difference to the figures."""
    config = parse_config({**SETTINGS, "suite": "demo", "run-folder": str(path), "share-test-embeddings": True})
    nodes = len(build_federation("demo", None, config.seed, config.scenario).nodes)
    return open_run(config, InProcessGrid(app, config.flat(), nodes)).rounds()
