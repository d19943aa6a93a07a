"""Rounds of Concord itself in a federation of real processes: how much of a round is training."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.demo_nodes import deal, node_configs
from benchmarks.federation import LocalFederation
from concord.config import Scalar, parse_config
from concord.deployment import follow
from concord.flower import repository
from concord.run_folder import RunFolder


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
    settings = {**deal(home), "rounds": rounds}
    with LocalFederation(home / "federation", node_configs(home)) as federation:
        return [_run(federation, RunFolder(home / f"run-{steps}"), {**settings, "local-steps": steps}) for steps in local_steps]


def _run(federation: LocalFederation, folder: RunFolder, settings: Mapping[str, Scalar]) -> Rounds:
    config = parse_config({**settings, "run-folder": str(folder.path)})
    follow(federation.superlink, repository(), config)
    lines = [line for line in folder.read_metrics() if 1 < line.get("round", 0) <= config.rounds]
    slowest: dict[int, float] = defaultdict(float)
    for line in lines:
        if line["scope"] == "node":
            slowest[line["round"]] = max(slowest[line["round"]], line["seconds"])
    whole = [line["seconds"] for line in lines if line["scope"] == "round"]
    return Rounds(config.local_steps, median(whole), median(slowest.values()))
