"""Golden figures: what each method reaches in a small run stays what it was.

``golden/<method>.json`` holds the settings, the accuracies and the tolerance. On one machine the figures repeat bit for
bit (see test_methods.py); another processor or build of torch rounds otherwise and turns a few predictions over. Where a
change of figures is meant, write them anew and look at the difference before it is committed:

    pytest tests/e2e/test_golden.py --regenerate-golden
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from made_up_graph import write_texas
from made_up_sensors import write_sensors
from tiny_run import ONE_EACH, TINY, NamedNodes, Settings

from client_app.app import app
from concord.config import parse_config
from concord.kinds import of_all_slices
from server_app.in_process import InProcessGrid
from server_app.run import open_run
from strategies.registry import METHODS

GOLDEN = Path(__file__).parent / "golden"
SETTINGS: Settings = {**TINY, "suite": "demo", "seed": 0, "local-steps": 8, "batch-size": 16, "warmup.steps": 30}
TOLERANCE = 0.05  # of an accuracy: two to four samples of the random test, some ten of the unseen one

# On all nodes at once no batch is drawn, and without dropout, whose draws depend on the processor, nothing else is.
ON_A_GRAPH: Settings = {
    "suite": "heterophily",
    "scenario": "graph=texas",
    "local-steps": 40,
    "lr": 0.01,
    "rounds": 3,
    "graph.dropout": 0.0,
}
ON_SENSORS: Settings = {"suite": "activity", "scenario": "missing=0.3", "rounds": 3, "anchor-supervision": False}

Accuracies = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Place:
    """Where a method is at home: what is set for it, on whose nodes it runs, and what writes its pack."""

    settings: Settings
    nodes: tuple[str, ...]
    write: Callable[[Path], object] = lambda data: None


AT_HOME = {
    "fedmchain": Place(ON_SENSORS, ("subject-1-a", "subject-2-a", "subject-3-a"), write_sensors),
    "stage": Place(ON_A_GRAPH, ("texas-1", "texas-2", "texas-3"), write_texas),
}


def place_of(method: str) -> Place:
    """By default suite `demo`, a node of each modality; agents need another of one to have a neighbour at all."""
    return AT_HOME.get(method, Place({}, (*ONE_EACH, "image-forms-b") if METHODS[method].of_agents else ONE_EACH))


def settings_of(method: str) -> Settings:
    """All that is set."""
    return {**SETTINGS, **place_of(method).settings, "method": method}


def accuracies(method: str, folder: Path) -> Accuracies:
    """Accuracy by split and modality of a run with the default learning rate and switches."""
    place = place_of(method)
    place.write(folder / "packs")
    config = parse_config({**settings_of(method), "data": str(folder / "packs"), "run-folder": str(folder / "run")})
    pooled = METHODS[method].pooled
    grid = InProcessGrid(app, config.flat(), 1) if pooled else NamedNodes(config, place.nodes)
    result = open_run(config, grid).rounds()
    return {
        split: {m: round(a.accuracy, 4) for m, a in sorted(by.items()) if of_all_slices(m)}
        for split, by in sorted(result.accuracy.items())
    }


@pytest.mark.parametrize("method", METHODS)
def test_accuracies_are_the_golden_ones(method: str, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    file = GOLDEN / f"{method}.json"
    found = accuracies(method, tmp_path)
    if pytestconfig.getoption("--regenerate-golden"):
        nodes = ["centralised"] if METHODS[method].pooled else list(place_of(method).nodes)
        golden = {"settings": settings_of(method), "nodes": nodes, "tolerance": TOLERANCE, "accuracy": found}
        file.write_text(json.dumps(golden, indent=1) + "\n")
        pytest.skip(f"{file.name} was written anew")
    golden = json.loads(file.read_text())
    assert golden["settings"] == settings_of(method), "the golden figures are those of other settings"
    assert found.keys() == golden["accuracy"].keys()
    for split, by_modality in golden["accuracy"].items():
        assert found[split] == pytest.approx(by_modality, abs=golden["tolerance"]), split


def test_every_golden_file_is_that_of_a_method() -> None:
    assert {file.stem for file in GOLDEN.glob("*.json")} == set(METHODS)
