"""Pages of the suites of graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import mean

from benchmarks.graphs.aims import aims_table
from benchmarks.graphs.cases import (
    ABLATED,
    AS_PUBLISHED,
    CENTRALISED,
    FEDAVG,
    FEDAVG_MLP,
    LOCAL_GCN,
    LOCAL_MLP,
    MISSING,
    RANKED,
    ROWS,
    SEEDS,
    STAGE,
    TASK_POOLED_ROWS,
    TASK_ROWS,
    TRIAL_SEEDS,
    TRIALS,
    TRIED,
    ablation_cases,
    ablations_of,
    graphs_of,
    method_cases,
    pooled_rows,
    settings_of,
    trials_under,
)
from benchmarks.graphs.figures import (
    Setting,
    accuracy,
    by_chance,
    first,
    hits,
    kilobytes_up,
    pairs,
    rank,
    validation_accuracy,
    values,
    without,
)
from benchmarks.headlines import Headline, named
from benchmarks.markdown import Results, bytes_of, cell, cpu_seconds, difference, seeds_run, table, trials_table
from benchmarks.sweep import Row
from client_app.data.registry import find_suite
from concord.graphs import DRIFTS, Drift, Task

FIGURES_EXPLAINED = (
    "Accuracy on the test nodes, each tested by the party that holds it; mean and 95 % interval (Student t) over the seeds, each "
    "with parties and initial weights of its own; a dash: not run yet; no interval: one seed. All rows have 12 rounds of 20 "
    "steps; CPU seconds are on one core. Bytes are of whole messages of a party, with its figures of each round, the mean over "
    "the rounds: the class means of `stage`, which travel once, have a twelfth of their bytes in each."
)
ROWS_EXPLAINED = (
    "Rows: `STAGE's network` is translation, control and propagation without what parties tell each other; `fedavg, homophily "
    "control` averages it; all networks have two layers of 64"
)
AS_PUBLISHED_EXPLAINED = "`as published`, one of 16, in 200 steps"
HEADLINES: dict[Drift, str] = {
    "none": "accuracy on `{}`, and what a party sends in a round",
    "rotation": "the same, each party's features rotated",
    "encoder": "the same, features through an encoder of each party's own",
}
GCNS = (FEDAVG, LOCAL_GCN)
BESIDE: dict[str, Sequence[Row]] = {"citation": GCNS, "world": GCNS, "heterophily": (FEDAVG, FEDAVG_MLP, LOCAL_MLP)}


def page_of(suite: str) -> Callable[[Results], str]:
    """The page of a suite."""

    def page(results: Results) -> str:
        cases = list(method_cases(suite)())
        parts = [
            f"# Results on suite `{suite}`",
            f"Made by `python -m benchmarks {suite} --data DIR`. {FIGURES_EXPLAINED} {seeds_run(results, cases)}",
            ROWS_EXPLAINED + ("; " + AS_PUBLISHED_EXPLAINED if AS_PUBLISHED in pooled_rows(suite) else "") + ".",
        ]
        for graph, whole in settings_of(suite):
            parts += [f"## `{graph}`{_holdings(suite, whole)}", method_table(results, suite, graph, whole=whole)]
            if whole:
                parts += [
                    "One modality absent at inference, no drift; change: from all of them, on the same nodes, paired by seed.",
                    absence_table(results, suite, graph),
                ]
        for graph, task in RANKED[suite]:
            chance = cell(values(results, Setting(suite, graph, task=task), CENTRALISED, by_chance))
            lead = f"Mean reciprocal rank (MRR), hits at 1 and at 10 over all kinds of questions; {chance} MRR by chance."
            parts += [f"## `{graph}`, task `{task}`", lead, ranking_table(results, suite, graph, task)]
        parts += [
            f"## Ablations of `stage` on `{graphs_of(suite)[0]}`{_holdings(suite, whole=False)}",
            seeds_run(results, list(ablation_cases(suite)())),
            ablation_table(results, suite),
        ]
        parts += ["## Aims", aims_table(results, suite)]
        return "\n\n".join(parts) + "\n"

    return page


def _holdings(suite: str, whole: bool) -> str:
    """What a heading says of who holds what."""
    if suite not in MISSING:
        return ""
    return ", no party lacks a modality" if whole else f", a party lacks each modality at rate {MISSING[suite]}"


def headlines_of(suite: str) -> Callable[[Results], Iterator[Headline]]:
    """What the README shows of a suite: its first graph, without drift and with; nothing before all seeds were run."""
    graph = graphs_of(suite)[0]

    def headlines(results: Results) -> Iterator[Headline]:
        for drift, question in HEADLINES.items():
            cells = []
            for row in (STAGE, *BESIDE[suite]):
                found = values(results, Setting(suite, graph, drift), row, accuracy)
                if len(found) < len(SEEDS[suite]):
                    return
                up = mean(values(results, Setting(suite, graph, drift), row, bytes_of("up"))) / 1000
                cells.append((row.name, f"{cell(found)} for {up:.1f} kB"))
            yield Headline(question.format(graph), " ".join(cells[0]), named(cells[1:]))

    return headlines


def trials_page(results: Results) -> str:
    """What settings were chosen by."""
    graph = graphs_of(TRIED)[0]
    parts = [
        f"# Trials on `{graph}`",
        f"Made by `python -m benchmarks {TRIALS} --data DIR`. For choosing the settings of `stage`: accuracy on the nodes for "
        f"validation, mean over seeds {' and '.join(map(str, TRIAL_SEEDS))}, which no result uses, without intervals: they tell "
        "large differences only.",
    ]
    columns = {"validation": (validation_accuracy, ".3f"), "kB up": (kilobytes_up, ".1f")}
    for drift in DRIFTS:
        parts += [f"## Drift: {drift}", trials_table(results, trials_under(drift), columns)]
    return "\n\n".join(parts) + "\n"


def method_table(results: Results, suite: str, graph: str, *, whole: bool = False) -> str:
    """Accuracy, and what a party sends and gets in a round, under each drift; CPU time is that without drift."""
    settings = [Setting(suite, graph, drift, whole=whole) for drift in DRIFTS]
    rows = []
    for row in (*pooled_rows(suite), *ROWS):
        pooled = row in pooled_rows(suite)
        cells = []
        for setting in settings[:1] if pooled else settings:
            cells += [cell(values(results, setting, row, accuracy)), *_bytes(results, setting, row, sends=not pooled)]
        cells += [""] * (3 * len(settings) - len(cells))
        rows.append([row.name, *cells, cell(values(results, settings[0], row, cpu_seconds), 1, 0)])
    header = [text for drift in DRIFTS for text in (f"drift: {drift}", "kB up", "kB down")]
    return table(["method", *header, "CPU seconds"], rows)


def _bytes(results: Results, setting: Setting, row: Row, *, sends: bool) -> list[str]:
    """What a party sends and gets in a round, in kB; nothing of one that has all data."""
    return [cell(values(results, setting, row, bytes_of(way)), 1000, 1) if sends else "" for way in ("up", "down")]


def absence_table(results: Results, suite: str, graph: str) -> str:
    """Accuracy with one modality absent at inference, where every party holds all."""
    modalities = tuple(find_suite(suite).modality_names)
    setting, rows = Setting(suite, graph, whole=True), []
    for row in (CENTRALISED, *ROWS):
        cells = [cell(values(results, setting, row, accuracy))]
        for modality in modalities:
            absent = values(results, setting, row, without(modality))
            cells += [cell(absent), difference(absent, values(results, setting, row, accuracy))]
        rows.append([row.name, *cells])
    return table(["method", "all", *(text for m in modalities for text in (f"without {m}", "change"))], rows)


def ranking_table(results: Results, suite: str, graph: str, task: Task) -> str:
    """Mean reciprocal ranks, hits, and what a party sends and gets in a round, drift by drift."""
    rows = []
    for drift in DRIFTS:
        setting = Setting(suite, graph, drift, task)
        for row in (*(TASK_POOLED_ROWS if drift == "none" else ()), *TASK_ROWS):
            cells = [cell(values(results, setting, row, of)) for of in (rank, first, hits)]
            rows.append([drift, row.name, *cells, *_bytes(results, setting, row, sends=row not in TASK_POOLED_ROWS)])
    return table(["drift", "method", "MRR", "hits at 1", "hits at 10", "kB up", "kB down"], rows)


def ablation_table(results: Results, suite: str) -> str:
    """Each ingredient of `stage` left out or replaced, on the first graph; differences are paired by seed."""
    rows = []
    for row in ablations_of(suite):
        cells = []
        for drift in ABLATED:
            own, whole = pairs(results, Setting(suite, graphs_of(suite)[0], drift), row, STAGE, accuracy)
            cells += [cell(own), difference(own, whole)]
        rows.append([row.name, *cells])
    return table(["variant", *(text for drift in ABLATED for text in (f"drift: {drift}", "change"))], rows)
