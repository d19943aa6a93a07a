"""A disk that fills up while a run writes: the run says so, what it had stays whole, and it goes on once there is room."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_run import ONE_EACH, lines, run_tiny

from concord.run_folder import RunFolder
from server_app.checkpoint import load_checkpoint
from server_app.results import load_result
from strategies.consensus import NoConsensus

NODES = ONE_EACH[:2]
RUN = """
import json, resource, signal, sys
from tiny_run import at, run_tiny, TRAIN
folder, cut, settings = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then a write beyond the limit fails as on a full disk

def fill(node_id, message, reply):
    if at(TRAIN, cut, message):
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
    return reply

run_tiny(__import__("pathlib").Path(folder), settings, json.loads(sys.argv[4]), fill)
"""


@pytest.mark.process
@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_full_disk_ends_the_run_and_loses_no_finished_round(cut: int, tmp_path: Path) -> None:
    settings = {"rounds": 3, "min-nodes": len(NODES)}
    run_tiny(tmp_path / "whole", settings, NODES)
    arguments = [str(tmp_path / "cut"), str(cut), json.dumps(settings), json.dumps(NODES)]
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, Path(__file__).parents[1:3]))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "C406 the run folder cannot be written" in done.stderr, done.stderr[-2000:]
    folder = RunFolder(tmp_path / "cut")
    if cut > 1:
        assert load_checkpoint(folder.checkpoint, NoConsensus()).round_ == cut - 1
    assert not [path for path in folder.path.rglob(".*") if path.name != ".lock"], "no half-written file stays"
    run_tiny(tmp_path / "cut", {**settings, "resume": True}, NODES)
    assert load_result(tmp_path / "cut").accuracy == load_result(tmp_path / "whole").accuracy
    assert [line["round"] for line in lines(tmp_path / "cut", "round")] == [1, 2, 3, 4]
