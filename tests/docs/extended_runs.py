"""Runs of the modality and the method of docs/extending.md, in a process that imports the extended packages."""

from __future__ import annotations

import contextlib
import shlex
import sys
import tomllib
from pathlib import Path

import numpy as np
import torch
from tiny_run import open_tiny, run_tiny
from typer.testing import CliRunner

import client_app
from concord.anchors import load_anchors
from concord.cli import app
from concord.config import RunConfig, flatten
from server_app.checkpoint import load_checkpoint
from server_app.run import Run
from strategies.consensus import NoConsensus

NODES = ("pulse-north", "tone-north")
Groups = dict[str, dict[str, torch.Tensor]]


def groups(run: Run) -> Groups:
    """The global model after a run."""
    return load_checkpoint(run.folder.checkpoint, NoConsensus()).groups


def finished(folder: Path, **settings: float | str) -> Groups:
    run = open_tiny(folder, settings, NODES)
    run.rounds()
    return groups(run)


def same(one: Groups, other: Groups) -> bool:
    return all(torch.allclose(t, other[g][name], atol=1e-6) for g, group in one.items() for name, t in group.items())


def check_modality(folder: Path) -> None:
    learnt = run_tiny(folder / "modality", {"rounds": 1, "local-steps": 40, "batch-size": 32}, NODES)
    assert learnt.rejections == []
    assert learnt.accuracy["random"]["pulse"].accuracy > 0.3, learnt.accuracy


def check_own_data(folder: Path, command: str) -> None:
    for digit in (1, 2, 3):
        (folder / "public" / str(digit)).mkdir(parents=True)
        for take in range(2):
            np.save(folder / "public" / str(digit) / f"{take}.npy", np.sin(np.arange(150 + take) * digit / 10))
    with contextlib.chdir(folder):
        told = CliRunner().invoke(app, shlex.split(command)[1:])
    assert told.exit_code == 0, told.output
    anchors = load_anchors(folder / "anchors")
    assert anchors.of("pulse").x.shape == (6, 128)
    assert anchors.encoders == {"pulse": "pulse"}


def check_method(folder: Path) -> None:
    """Without its two parts the method is FedAvg, each of them changes it, and the velocity is in the checkpoint."""
    no_momentum, no_penalty = {"steady.momentum": 0.0}, {"steady.confidence-weight": 0.0}
    plain = finished(folder / "plain", method="fedavg")
    assert same(plain, finished(folder / "off", method="steady", **no_momentum, **no_penalty))
    assert not same(plain, finished(folder / "penalty", method="steady", **no_momentum))
    momentum = finished(folder / "momentum", method="steady", **no_penalty)
    assert not same(plain, momentum)
    finished(folder / "resumed", method="steady", rounds=1, **no_penalty)
    assert same(momentum, finished(folder / "resumed", method="steady", resume=True, **no_penalty))


def check_settings(copy: Path) -> None:
    table = tomllib.loads((copy / "pyproject.toml").read_text())["tool"]["flwr"]["app"]["config"]
    assert dict(flatten(table)) == RunConfig().flat()
    assert table["steady"] == {"momentum": 0.9, "confidence-weight": 0.1}


if __name__ == "__main__":
    copy = Path(sys.argv[1])
    torch.set_num_threads(1)
    assert Path(client_app.__file__).is_relative_to(copy), client_app.__file__
    runs = copy / "runs"
    check_modality(runs)
    check_own_data(runs, sys.argv[2])
    check_method(runs)
    check_settings(copy)
    print("all hold")
