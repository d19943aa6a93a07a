"""Tables of the suites of graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import mean

from benchmarks.graphs.cases import (
    ABLATED,
    ABLATIONS,
    CENTRALISED,
    FEDAVG,
    LOCAL_GCN,
    LOCAL_MLP,
    POOLED_ROWS,
    RANKED,
    ROWS,
    SAME_NETWORK,
    SEEDS,
    STAGE,
    TASK_POOLED_ROWS,
    TASK_ROWS,
    TRIAL_SEEDS,
    TRIALS,
    TRIED,
    ablation_cases,
    graphs_of,
    method_cases,
    scenario,
    trial_cases,
)
from benchmarks.headlines import Headline, named
from benchmarks.markdown import Figure, Results, bytes_of, cell, cpu_seconds, difference, mark, seeds_run, table, trials_table
from benchmarks.sweep import Case, Figures, Row
from client_app.data.graph import TEST, VALIDATION
from concord.functional.statistics import paired_difference
from concord.graphs import DRIFTS, Drift, Task
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
        for graph, task in RANKED[suite]:
            chance = cell(values(results, suite, CENTRALISED, graph, "none", by_chance, task))
            lead = f"Mean reciprocal rank over all kinds of questions; {chance} by chance."
            parts += [f"## `{graph}`, task `{task}`", lead, ranking_table(results, suite, graph, task)]
        parts += [
            f"## Ablations of `stage` on `{graphs_of(suite)[0]}`",
            seeds_run(results, list(ablation_cases(suite)())),
            ablation_table(results, suite),
        ]
        parts += ["## Aims", aims_table(results, suite)]
        return "\n\n".join(parts) + "\n"

    return page


def headlines_of(suite: str) -> Callable[[Results], Iterator[Headline]]:
    """What the README shows of a suite: its first graph, when every party has features in a semantics of its own."""
    graph = graphs_of(suite)[0]

    def headlines(results: Results) -> Iterator[Headline]:
        cells = []
        for row in (STAGE, FEDAVG, LOCAL_GCN):
            found = values(results, suite, row, graph, "rotation", accuracy)
            if not found:
                return
            up = mean(values(results, suite, row, graph, "rotation", bytes_of("up"))) / 1000
            cells.append((row.name, f"{cell(found)} for {up:.0f} kB"))
        question = f"accuracy on `{graph}`, each party's features rotated, and what it sends in a round"
        yield Headline(question, " ".join(cells[0]), named(cells[1:]))

    return headlines


def trials_page(results: Results) -> str:
    """What settings were chosen by."""
    graph = graphs_of(TRIED)[0]
    parts = [
        f"# Trials on `{graph}`",
        f"Made by `python -m benchmarks {TRIALS} --data DIR`. For choosing the settings of `stage`: accuracy on the nodes for "
        f"validation, mean over seeds {' and '.join(map(str, TRIAL_SEEDS))}, which no result uses, without intervals: they tell "
        "large differences only.",
        trials_table(results, trial_cases(), {"validation": (validation_accuracy, ".3f"), "kB up": (kilobytes_up, ".1f")}),
    ]
    return "\n\n".join(parts) + "\n"


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


def ranking_table(results: Results, suite: str, graph: str, task: Task) -> str:
    """Mean reciprocal ranks under each drift."""
    rows = [[row.name, cell(values(results, suite, row, graph, "none", rank, task)), "", ""] for row in TASK_POOLED_ROWS]
    rows += [[row.name, *(cell(values(results, suite, row, graph, drift, rank, task)) for drift in DRIFTS)] for row in TASK_ROWS]
    return table(["method", *(f"drift: {drift}" for drift in DRIFTS)], rows)


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
        found += _aims_of(results, suite, graph, "classes")
        for row in (FEDAVG, SAME_NETWORK):
            ours, theirs = (values(results, suite, r, graph, "none", bytes_of("up")) for r in (STAGE, row))
            fewer = mean(theirs) / mean(ours) if len(ours) == len(theirs) == len(SEEDS[suite]) else None
            text = f"{fewer:.0f} times" if fewer else "–"
            reached = fewer >= FEWER_BYTES if fewer else None
            found.append((f"{graph}: {FEWER_BYTES} times fewer bytes up a round than `{row.name}`", text, reached))
    for graph, task in RANKED[suite]:
        found += _aims_of(results, suite, graph, task)
    return found


def _aims_of(results: Results, suite: str, graph: str, task: Task) -> Iterator[tuple[str, str, bool | None]]:
    """What is aimed at on one graph in one task, under each drift."""
    of = accuracy if task == "classes" else rank
    for drift in DRIFTS:
        name = f"{graph}, drift {drift}" + ("" if task == "classes" else f", {task}")
        ours = values(results, suite, STAGE, graph, drift, of, task)
        if suite != "heterophily":
            pooled = values(results, suite, CENTRALISED, graph, "none", of, task)
            yield f"{name}: within 2 points of `{CENTRALISED.name}`", *_at_least(ours, pooled, -2 * POINT, len(SEEDS[suite]))
        elif task == "classes":
            local = values(results, suite, LOCAL_MLP, graph, drift, of)
            yield f"{name}: not below `{LOCAL_MLP.name}`", *_at_least(ours, local, 0.0, len(SEEDS[suite]))
        if drift != "none":
            averaged = values(results, suite, FEDAVG, graph, drift, of, task)
            complete = len(ours) == len(averaged) == len(SEEDS[suite])
            change, half = paired_difference(ours, averaged) if complete else (0.0, 0.0)
            above = change > half if complete else None
            yield f"{name}: above `{FEDAVG.name}` by more than the interval", difference(ours, averaged), above


def _at_least(ours: Sequence[float], theirs: Sequence[float], least: float, seeds: int) -> tuple[str, bool | None]:
    """The difference, and whether its mean is so much at least."""
    complete = len(ours) == len(theirs) == seeds
    return difference(ours, theirs), mean(ours) - mean(theirs) >= least if complete else None


def values(results: Results, suite: str, row: Row, graph: str, drift: Drift, of: Figure, task: Task = "classes") -> list[float]:
    """A figure for every seed that was run, in seed order."""
    keys = [Case(suite, row, scenario(graph, drift, task), seed).key for seed in SEEDS[suite]]
    return [of(results[key]) for key in keys if key in results]


def accuracy(figures: Figures) -> float:
    """Accuracy on the test nodes from all modalities."""
    return float(figures["accuracy"][TEST][FUSED]["accuracy"])


def rank(figures: Figures) -> float:
    """Mean reciprocal rank of the test questions, the mean over their kinds."""
    return mean(float(kind["mrr"]) for kind in figures["ranking"][TEST].values())


def by_chance(figures: Figures) -> float:
    """The same of an order by chance."""
    return mean(float(kind["chance"]) for kind in figures["ranking"][TEST].values())


def validation_accuracy(figures: Figures) -> float:
    """Accuracy on the nodes for validation."""
    return float(figures["accuracy"][VALIDATION][FUSED]["accuracy"])


def kilobytes_up(figures: Figures) -> float:
    """What a party sends in a round."""
    return bytes_of("up")(figures) / 1000
