"""What is compared on the suites of agents: PARSE and its peers, for mixes of agents of one sensor and of all.

All rows take as many local steps, and exchange in every round. `dsgd-modality-sliced` has PARSE's model under the plain
exchange by modality, so that model and exchange are told apart.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.sweep import SEEDS, Case, Row
from concord.config import Scalar

TWO, THREE = "activity-agents", "activity-agents-three"
VALIDATION = "activity-agents-validation"
VALIDATION_SEEDS = (100, 101, 102, 103)  # that no result uses
MIXES = (0.25, 0.5, 0.75)
OTHER_OVERLAYS = ("ring", "random-regular", "complete")  # than the default, chordal rings
COMMON: dict[str, Scalar] = {"clip-norm": 1e6, "lr": 2.5e-3}  # the rate by the trials, for PARSE and the best peer alike

PARSE = Row("parse", "parse")
SAME_MODEL = Row("dsgd-modality, PARSE's model", "dsgd-modality-sliced")
BY_TASK = Row("dsgd-task", "dsgd-task")
PEERS = (
    Row("alone", "alone"),
    BY_TASK,
    Row("dsgd-modality", "dsgd-modality"),
    Row("dsgd-hybrid", "dsgd-hybrid"),
    Row("harmony, two stages", "harmony"),
    SAME_MODEL,
)
METHOD_ROWS = (PARSE, *PEERS)

SHARED_HEAD: dict[str, Scalar] = {"parse.redundant-head": "shared"}
ABLATIONS = (
    Row("no contrast", "parse", {"parse.contrast-weight": 0.0}),
    Row("contrast 0.5", "parse", {"parse.contrast-weight": 0.5}),
    Row("one redundant head for all", "parse", SHARED_HEAD),
    Row("a budget of 64 kB a message", "parse", {"overlay.budget": 64_000}),
)
COMPARED_ON_OVERLAYS = (PARSE, SAME_MODEL, BY_TASK)
OVERLAY_ROWS = tuple(
    Row(f"{row.name}, {kind}", row.method, {"overlay.kind": kind}) for kind in OTHER_OVERLAYS for row in COMPARED_ON_OVERLAYS
)
PARSE_ON_OVERLAYS = tuple(row for row in OVERLAY_ROWS if row.method == PARSE.method)

TRIALS = (
    PARSE,
    SAME_MODEL,
    BY_TASK,
    Row("no contrast", "parse", {"parse.contrast-weight": 0.0}),
    Row("contrast 0.5", "parse", {"parse.contrast-weight": 0.5}),
    Row("slices of 48", "parse", {"parse.slice-width": 48}),
    Row("one redundant head for all", "parse", SHARED_HEAD),
    Row("one redundant head for all, contrast 0.5", "parse", {**SHARED_HEAD, "parse.contrast-weight": 0.5}),
    Row("lr 0.00125", "parse", {"lr": 1.25e-3}),
    Row("lr 0.005", "parse", {"lr": 5e-3}),
    Row("dsgd-task, lr 0.00125", "dsgd-task", {"lr": 1.25e-3}),
    Row("dsgd-task, lr 0.005", "dsgd-task", {"lr": 5e-3}),
)


def scenario(mix: float, *, unbalanced: bool = False) -> str:
    """The scenario in which that share of the agents holds all sensors."""
    return f"multimodal={mix}" + ("+unbalanced" if unbalanced else "")


def method_cases() -> Iterator[Case]:
    """Every run of the comparison on two sensors, seed by seed."""
    for seed in SEEDS:
        for mix in MIXES:
            for unbalanced in (False, True):
                for row in METHOD_ROWS:
                    yield Case(TWO, row, scenario(mix, unbalanced=unbalanced), seed, COMMON)


def ablation_cases() -> Iterator[Case]:
    """Every run of other overlays, the peers' at the smallest mix alone, and of parts left out there."""
    for seed in SEEDS:
        for row in (*OVERLAY_ROWS, *ABLATIONS):
            yield Case(TWO, row, scenario(MIXES[0]), seed, COMMON)
        for mix in MIXES[1:]:
            for row in PARSE_ON_OVERLAYS:
                yield Case(TWO, row, scenario(mix), seed, COMMON)


def three_cases() -> Iterator[Case]:
    """Every run on three sensors."""
    for seed in SEEDS:
        for row in METHOD_ROWS:
            yield Case(THREE, row, scenario(MIXES[0]), seed, COMMON)


def trial_cases() -> Iterator[Case]:
    """Every run that settings are chosen by."""
    for seed in VALIDATION_SEEDS:
        for row in TRIALS:
            yield Case(VALIDATION, row, scenario(MIXES[0]), seed, COMMON)
