"""Rounds of Concord itself in a federation of real processes: how much of a round is training."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.console import Console

from benchmarks.federation import LocalFederation
from concord.commands.inspect import deal_data, write_anchors
from concord.config import parse_config
from concord.deployment import follow
from concord.flower import repository
from concord.run_folder import RunFolder

NODES = ("image-forms-a", "word-west-europe", "tone-north")


@dataclass(frozen=True)
class Rounds:
    """Medians over the rounds of a run, in seconds.

    Attributes:
        local_steps: optimiser steps of a node and round.
        whole: of a round, at the server.
        slowest: of the node that took longest in its handler: building the model, evaluating, training, measuring.
    """

    local_steps: int
    whole: float
    slowest: float


def measure(home: Path, rounds: int, local_steps: tuple[int, ...]) -> list[Rounds]:
    """One run for each number of local steps, on three nodes of suite ``demo``, without the first round, which sends most."""
    quiet = Console(quiet=True)
    deal_data(home, "demo", "labelled", None, 0, NODES, quiet)
    write_anchors(home / "anchors", "demo", None, 0, quiet)
    with LocalFederation(home / "federation", {name: {"data": str(home / name)} for name in NODES}) as federation:
        return [_run(federation, home, rounds, steps) for steps in local_steps]


def _run(federation: LocalFederation, home: Path, rounds: int, local_steps: int) -> Rounds:
    folder = RunFolder(home / f"run-{local_steps}")
    settings = {"run-folder": str(folder.path), "anchors": str(home / "anchors"), "min-nodes": len(NODES), "device": "cpu"}
    follow(federation.superlink, repository(), parse_config({**settings, "rounds": rounds, "local-steps": local_steps}))
    lines = [line for line in folder.read_metrics() if 1 < line.get("round", 0) <= rounds]
    slowest: dict[int, float] = defaultdict(float)
    for line in lines:
        if line["scope"] == "node":
            slowest[line["round"]] = max(slowest[line["round"]], line["seconds"])
    whole = [line["seconds"] for line in lines if line["scope"] == "round"]
    return Rounds(local_steps, median(whole), median(slowest.values()))
