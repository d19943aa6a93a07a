"""A federation of real processes on suite `demo`, two nodes, small enough for tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_run import DEFAULTS, TINY, Settings

from benchmarks.federation import LocalFederation
from concord.config import RunConfig, parse_config
from server_app.results import Result

NODES = ("image-forms-a", "word-west-europe")
ROUNDS = 2
TOLERANCE = 0.02  # of an accuracy: the server's trunk is warmed up with another number of threads


def run_config(run: Path, dealt: Path, settings: Settings = DEFAULTS) -> RunConfig:
    """A run of `ROUNDS` rounds that starts with all nodes there; nodes and server have no suite, only folders."""
    return parse_config(
        {
            **TINY,
            "anchors": str(dealt / "anchors"),
            "rounds": ROUNDS,
            "min-nodes": len(NODES),
            "round-timeout": 200.0,
            "resume": True,
            "run-folder": str(run),
            **settings,
        }
    )


def node_configs(dealt: Path) -> dict[str, dict[str, str]]:
    """Node config by name."""
    return {name: {"data": str(dealt / name)} for name in NODES}


def federation(folder: Path, dealt: Path) -> LocalFederation:
    """SuperLink, executors and a node for each of `NODES`."""
    return LocalFederation(folder, node_configs(dealt))


def assert_same_accuracy(found: Result, expected: Result, tolerance: float = TOLERANCE) -> None:
    """Every accuracy of `expected` is reached, within `tolerance`."""
    for split, by_modality in expected.accuracy.items():
        for modality, figure in by_modality.items():
            assert found.accuracy[split][modality].accuracy == pytest.approx(figure.accuracy, abs=tolerance)
