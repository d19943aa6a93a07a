"""What is aimed at on the suites of graphs, computed from the results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import mean

from benchmarks.graphs.cases import (
    AS_PUBLISHED,
    CENTRALISED,
    FEDAVG,
    RANKED,
    ROWS,
    SAME_NETWORK,
    SEEDS,
    STAGE,
    TASK_ROWS,
    graphs_of,
)
from benchmarks.graphs.figures import Setting, accuracy, bytes_both_ways, pairs, rank, values
from benchmarks.markdown import Figure, Results, cell, difference, mark, table
from benchmarks.sweep import Row
from concord.functional.statistics import paired_difference
from concord.graphs import DRIFTS, Drift, Task

POINT = 0.01
FEWER_BYTES = 150
PUBLISHED = {"cora": 0.815, "citeseer": 0.703}  # a GCN with all data in one place (Kipf & Welling 2017)
Aim = tuple[str, str, bool | None]  # name, what was measured, and whether it is reached; None: not measured yet


def aims_table(results: Results, suite: str) -> str:
    """The aims of the comparison, reached or not."""
    return table(["aim", "measured", ""], [[name, text, mark(reached)] for name, text, reached in aims(results, suite)])


def aims(results: Results, suite: str) -> list[Aim]:
    """All aims on the graphs of a suite."""
    found: list[Aim] = []
    for graph in graphs_of(suite):
        if graph in PUBLISHED:
            found.append(_as_published(results, suite, graph))
        found += [*_accuracy_aims(results, suite, graph, "classes"), *_byte_aims(results, suite, graph, "classes")]
    for graph, task in RANKED[suite]:
        found += [*_accuracy_aims(results, suite, graph, task), *_byte_aims(results, suite, graph, task)]
    return found


def _as_published(results: Results, suite: str, graph: str) -> Aim:
    own = values(results, Setting(suite, graph), AS_PUBLISHED, accuracy)
    near = abs(mean(own) - PUBLISHED[graph]) <= POINT if len(own) == len(SEEDS[suite]) else None
    return f"{graph}: `{AS_PUBLISHED.name}` at {PUBLISHED[graph]}, plus or minus one point", cell(own), near


def _byte_aims(results: Results, suite: str, graph: str, task: Task) -> Iterator[Aim]:
    """What is aimed at in bytes, both ways together, on one graph in one task, under each drift."""
    for drift in DRIFTS:
        for row in (FEDAVG, SAME_NETWORK):
            ours, theirs = pairs(results, Setting(suite, graph, drift, task), STAGE, row, bytes_both_ways)
            fewer = mean(theirs) / mean(ours) if len(ours) == len(SEEDS[suite]) else None
            text = f"{fewer:.1f} times" if fewer else "–"
            reached = fewer >= FEWER_BYTES if fewer else None
            name = f"{_named(graph, drift, task)}: {FEWER_BYTES} times fewer bytes a round than `{row.name}`"
            yield name, text, reached


def _named(graph: str, drift: Drift, task: Task) -> str:
    return f"{graph}, drift {drift}" + ("" if task == "classes" else f", {task}")


def _accuracy_aims(results: Results, suite: str, graph: str, task: Task) -> Iterator[Aim]:
    """What is aimed at on one graph in one task, under each drift."""
    of, seeds = accuracy if task == "classes" else rank, len(SEEDS[suite])
    for drift in DRIFTS:
        setting = Setting(suite, graph, drift, task)
        name = _named(graph, drift, task)
        ours = values(results, setting, STAGE, of)
        if suite != "heterophily":
            pooled = values(results, Setting(suite, graph, task=task), CENTRALISED, of)
            yield f"{name}: within 2 points of `{CENTRALISED.name}`", *_at_least(ours, pooled, -2 * POINT, seeds)
        elif task == "classes":
            best, theirs = _best(results, setting, [row for row in ROWS if row.name.endswith("MLP")], of)
            yield f"{name}: not below the better of `local, MLP` and `fedavg, MLP`", *_at_least(ours, theirs, 0.0, seeds, best)
        if drift != "none":
            yield f"{name}: above `{FEDAVG.name}` by more than the interval", *_above(results, setting, FEDAVG, of)
            averaged = [row for row in (ROWS if task == "classes" else TASK_ROWS) if row.method == FEDAVG.method]
            best, theirs = _best(results, setting, averaged, of)
            yield f"{name}: above the best network that is averaged", *_clear(ours, theirs, seeds, best)


def _best(results: Results, setting: Setting, rows: Sequence[Row], of: Figure) -> tuple[str, list[float]]:
    """Name and figures of the row with the highest mean, once all rows are complete."""
    found = {row.name: values(results, setting, row, of) for row in rows}
    if any(len(own) < len(SEEDS[setting.suite]) for own in found.values()):
        return "", []
    return max(found.items(), key=lambda pair: mean(pair[1]))


def _above(results: Results, setting: Setting, row: Row, of: Figure) -> tuple[str, bool | None]:
    """The difference from a row, and whether it is above by more than the interval."""
    return _clear(*pairs(results, setting, STAGE, row, of), len(SEEDS[setting.suite]))


def _clear(ours: Sequence[float], theirs: Sequence[float], seeds: int, name: str = "") -> tuple[str, bool | None]:
    if not len(ours) == len(theirs) == seeds:
        return "–", None
    change, half = paired_difference(ours, theirs)
    return difference(ours, theirs) + (f" ({name})" if name else ""), change > half


def _at_least(
    ours: Sequence[float], theirs: Sequence[float], least: float, seeds: int, name: str = ""
) -> tuple[str, bool | None]:
    """The difference, and whether its mean is so much at least."""
    if not len(ours) == len(theirs) == seeds:
        return "–", None
    return difference(ours, theirs) + (f" ({name})" if name else ""), mean(ours) - mean(theirs) >= least
