"""Tables of the suites of graphs."""

from __future__ import annotations

from collections.abc import Callable
from statistics import mean

from benchmarks.graphs.cases import (
    ABLATED,
    ABLATIONS,
    CENTRALISED,
    FEDAVG,
    LOCAL_MLP,
    POOLED_ROWS,
    ROWS,
    SAME_NETWORK,
    SEEDS,
    STAGE,
    ablation_cases,
    graphs_of,
    method_cases,
    scenario,
)
from benchmarks.markdown import Figure, Results, bytes_of, cell, cpu_seconds, difference, mark, seeds_run, table
from benchmarks.sweep import Case, Figures, Row
from client_app.data.graph import TEST
from concord.functional.statistics import paired_difference
from concord.graphs import DRIFTS, Drift
from concord.samples import FUSED

POINT = 0.01
FEWER_BYTES = 150
PUBLISHED = {"cora": 0.815, "citeseer": 0.703}  # a GCN with all data in one place (Kipf & Welling 2017)


def page_of(suite: str) -> Callable[[Results], str]:
    """The page of a suite."""

    def page(results: Results) -> str:
        cases = list(method_cases(suite)())
        parts = [
            f"# Results on suite `{suite}`",
            f"Made by `python -m benchmarks {suite} --data DIR`. Accuracy on the test nodes, each tested by the party that "
            "holds it; mean and 95 % interval (Student t) over the seeds, each with parties and initial weights of its own; "
            "a dash: not run yet; no interval: one seed. Equal steps in all rows; CPU seconds on one core. "
            + seeds_run(results, cases),
        ]
        for graph in graphs_of(suite):
            parts += [f"## `{graph}`", method_table(results, suite, graph)]
        parts += [
            f"## Ablations of `stage` on `{graphs_of(suite)[0]}`",
            seeds_run(results, list(ablation_cases(suite)())),
            ablation_table(results, suite),
        ]
        parts += ["## Aims", aims_table(results, suite)]
        return "\n\n".join(parts) + "\n"

    return page


def method_table(results: Results, suite: str, graph: str) -> str:
    """Accuracy under each drift, and what a round costs a party."""
    rows = []
    for row in POOLED_ROWS:
        found = cell(values(results, suite, row, graph, "none", accuracy))
        rows.append([row.name, found, "", "", "", "", cell(values(results, suite, row, graph, "none", cpu_seconds), 1, 0)])
    for row in ROWS:
        by_drift = [cell(values(results, suite, row, graph, drift, accuracy)) for drift in DRIFTS]
        up, down = (cell(values(results, suite, row, graph, "none", bytes_of(way)), 1000, 1) for way in ("up", "down"))
        rows.append([row.name, *by_drift, up, down, cell(values(results, suite, row, graph, "none", cpu_seconds), 1, 0)])
    header = [f"drift: {drift}" for drift in DRIFTS]
    return table(["method", *header, "kB up / party and round", "kB down / party and round", "CPU seconds"], rows)


def ablation_table(results: Results, suite: str) -> str:
    """Each ingredient of `stage` left out or replaced, on the first graph; differences are paired by seed."""
    rows = []
    for row in ABLATIONS:
        cells = []
        for drift in ABLATED:
            whole, own = (values(results, suite, r, graphs_of(suite)[0], drift, accuracy) for r in (STAGE, row))
            cells += [cell(own), difference(own, whole[: len(own)])]
        rows.append([row.name, *cells])
    return table(["variant", *(text for drift in ABLATED for text in (f"drift: {drift}", "change"))], rows)


def aims_table(results: Results, suite: str) -> str:
    """The aims of the comparison, computed, reached or not."""
    return table(["aim", "measured", ""], [[name, text, mark(reached)] for name, text, reached in aims(results, suite)])


def aims(results: Results, suite: str) -> list[tuple[str, str, bool | None]]:
    """Name, what was measured, and whether it is reached (None: not measured yet)."""
    found: list[tuple[str, str, bool | None]] = []
    for graph in graphs_of(suite):
        if graph in PUBLISHED:
            own = values(results, suite, CENTRALISED, graph, "none", accuracy)
            near = abs(mean(own) - PUBLISHED[graph]) <= POINT if len(own) == len(SEEDS[suite]) else None
            found.append((f"{graph}: centralised GCN at {PUBLISHED[graph]}, plus or minus one point", cell(own), near))
        for drift in DRIFTS:
            name = f"{graph}, drift {drift}"
            if suite == "heterophily":
                found.append(_compared(results, suite, graph, drift, LOCAL_MLP, f"{name}: not below `{LOCAL_MLP.name}`", 0.0))
            else:
                what = f"{name}: within 2 points of `{CENTRALISED.name}`"
                found.append(_compared(results, suite, graph, drift, CENTRALISED, what, -2 * POINT))
            if drift != "none":
                found.append(_above(results, suite, graph, drift))
        for row in (FEDAVG, SAME_NETWORK):
            ours, theirs = (values(results, suite, r, graph, "none", bytes_of("up")) for r in (STAGE, row))
            fewer = mean(theirs) / mean(ours) if len(ours) == len(theirs) == len(SEEDS[suite]) else None
            text = f"{fewer:.0f} times" if fewer else "–"
            reached = fewer >= FEWER_BYTES if fewer else None
            found.append((f"{graph}: {FEWER_BYTES} times fewer bytes up a round than `{row.name}`", text, reached))
    return found


def _compared(
    results: Results, suite: str, graph: str, drift: Drift, peer: Row, name: str, least: float
) -> tuple[str, str, bool | None]:
    """Whether the mean of `stage` is at most so far below that of a peer."""
    ours = values(results, suite, STAGE, graph, drift, accuracy)
    theirs = values(results, suite, peer, graph, "none" if peer in POOLED_ROWS else drift, accuracy)
    complete = len(ours) == len(theirs) == len(SEEDS[suite])
    return name, difference(ours, theirs), mean(ours) - mean(theirs) >= least if complete else None


def _above(results: Results, suite: str, graph: str, drift: Drift) -> tuple[str, str, bool | None]:
    ours, theirs = (values(results, suite, row, graph, drift, accuracy) for row in (STAGE, FEDAVG))
    complete = len(ours) == len(theirs) == len(SEEDS[suite])
    change, half = paired_difference(ours, theirs) if complete else (0.0, 0.0)
    name = f"{graph}, drift {drift}: above `{FEDAVG.name}` by more than the interval"
    return name, difference(ours, theirs), change > half if complete else None


def values(results: Results, suite: str, row: Row, graph: str, drift: Drift, of: Figure) -> list[float]:
    """A figure for every seed that was run, in seed order."""
    keys = [Case(suite, row, scenario(graph, drift), seed).key for seed in SEEDS[suite]]
    return [of(results[key]) for key in keys if key in results]


def accuracy(figures: Figures) -> float:
    """Accuracy on the test nodes from all modalities."""
    return float(figures["accuracy"][TEST][FUSED]["accuracy"])
