"""Tables of the suites of agents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from statistics import mean

from benchmarks.agents.cases import (
    ABLATIONS,
    COMMON,
    COMPARED_ON_OVERLAYS,
    METHOD_ROWS,
    MIXES,
    OVERLAY_ROWS,
    PARSE,
    PARSE_ON_OVERLAYS,
    PEERS,
    TWO,
    VALIDATION,
    VALIDATION_SEEDS,
    ablation_cases,
    method_cases,
    scenario,
    trial_cases,
)
from benchmarks.headlines import Headline
from benchmarks.markdown import Figure, Results, cell, cpu_seconds, difference, mark, seeds_run, table, trials_table
from benchmarks.sweep import SEEDS, Case, Row
from concord.functional.statistics import paired_difference
from concord.kinds import SLICES, alone, kind_of, of_all_slices, without

SPLIT = "unseen"
SENSORS = ("accelerometer", "gyroscope")
KINDS = (*SENSORS, kind_of(SENSORS))


def page_of(suite: str, cases: Callable[[], Iterable[Case]], what: str) -> Callable[[Results], str]:
    """The page of a suite on which all methods ran in each of some scenarios."""

    def page(results: Results) -> str:
        scenarios = list(dict.fromkeys(case.scenario for case in cases()))
        parts = [
            f"# Agents without a server on suite `{suite}`",
            f"Made by `python -m benchmarks {suite} --data DIR`. {what} Accuracy of the agents of each kind, each on the whole "
            f"split `{SPLIT}`; mean and 95 % interval (Student t) over the seeds; a dash: not run yet; no interval: one seed. "
            + seeds_run(results, list(cases())),
        ]
        for name in scenarios:
            parts += [f"## `{name}`", method_table(results, suite, name)]
        return "\n\n".join(parts) + "\n"

    return page


def whole_page(results: Results) -> str:
    """Every figure of the comparison on two sensors."""
    parts = [
        page_of(TWO, method_cases, "16 agents; `multimodal=R`: that share of them holds both sensors.")(results).rstrip(),
        f"## One slice left out at inference, `{scenario(MIXES[0])}`",
        slice_table(results),
        f"## Overlays, `{scenario(MIXES[0])}`",
        "Chordal rings where nothing else is said. " + seeds_run(results, list(ablation_cases())),
        variant_table(results, (*COMPARED_ON_OVERLAYS, *OVERLAY_ROWS)),
        *chain.from_iterable(
            (f"## Overlays, `{scenario(mix)}`", variant_table(results, (PARSE, *PARSE_ON_OVERLAYS), mix)) for mix in MIXES[1:]
        ),
        f"## Ablations of `parse`, `{scenario(MIXES[0])}`",
        variant_table(results, (PARSE, *ABLATIONS)),
        "## Aims",
        aims_table(results),
    ]
    return "\n\n".join(parts) + "\n"


def results_block(results: Results) -> str:
    """What docs/results.md shows: accuracy of each kind of agent where few are multimodal, and the aims."""
    parts = [
        f"Suite `{TWO}`, {MIXES[0]:.0%} of 16 agents multimodal, no server: accuracy of the agents of each kind on two people "
        "whom no agent has; mean ± 95 % interval. " + seeds_run(results, list(method_cases())),
        method_table(results, TWO, scenario(MIXES[0])),
        "Aims:",
        aims_table(results),
        "Every figure (other mixes, unbalanced ones, overlays, slices left out): "
        f"[benchmarks/results/{TWO}.md](../benchmarks/results/{TWO}.md). Made by `python -m benchmarks {TWO} --data DIR`.",
    ]
    return "\n\n".join(parts)


def headlines(results: Results) -> Iterator[Headline]:
    """What the README shows of it, once every method was run."""
    for kind in KINDS:
        figures = [(row.name, values(results, row, scenario(MIXES[0]), accuracy(kind))) for row in METHOD_ROWS]
        if all(found for _, found in figures):
            best = max(((name, found) for name, found in figures if name != PARSE.name), key=lambda pair: mean(pair[1]))
            question = f"accuracy on new people without a server, agents of {kind}, a quarter of all multimodal"
            ours = cell(dict(figures)[PARSE.name])
            yield Headline(question, f"{PARSE.name} {ours}", f"best peer: {best[0]} {cell(best[1])}")


def trials_page(results: Results) -> str:
    """What settings were chosen by."""
    columns = {kind: (accuracy(kind), ".3f") for kind in KINDS}
    parts = [
        f"# Trials on suite `{VALIDATION}`",
        f"Made by `python -m benchmarks {VALIDATION} --data DIR`. For choosing the settings of `parse`: five people train, the "
        f"sixth is unseen, and the two that results are of take no part. `{scenario(MIXES[0])}`; mean over seeds "
        f"{', '.join(map(str, VALIDATION_SEEDS))}, without intervals: they tell large differences only. "
        f"Learning rate {COMMON['lr']}, chordal rings, slices of 24 and a contrast of 0.1 where nothing else is said.",
        trials_table(results, trial_cases(), columns),
    ]
    return "\n\n".join(parts) + "\n"


def method_table(results: Results, suite: str, name: str, kinds: Sequence[str] = ()) -> str:
    """Accuracy of each kind of agent (none are named: of all that there are), and what a round costs."""
    kinds = kinds or kinds_in(results, suite, name)
    rows = []
    for row in METHOD_ROWS:
        by_kind = [cell(values(results, row, name, accuracy(kind), suite)) for kind in kinds]
        link = cell(values(results, row, name, lambda f: float(f["bytes"]["per-link-round"]), suite), 1000, 0)
        up = cell(values(results, row, name, lambda f: float(f["bytes"]["up-per-node-round"]), suite), 1000, 0)
        rows.append([row.name, *by_kind, link, up, cell(values(results, row, name, cpu_seconds, suite), 1, 0)])
    return table(["method", *kinds, "kB / link and round", "kB up / agent and round", "CPU seconds"], rows)


def slice_table(results: Results) -> str:
    """Accuracy of `parse` without one kind of slice, and from one alone."""
    names: list[Callable[[str], str]] = [lambda kind: kind]
    labels = ["all slices"]
    for slice_ in SLICES:
        names += [lambda kind, s=slice_: without(kind, s), lambda kind, s=slice_: alone(kind, s)]  # type: ignore[misc]
        labels += [f"without {slice_}", f"{slice_} alone"]
    rows = [
        [label, *(cell(values(results, PARSE, scenario(MIXES[0]), accuracy(name(kind)))) for kind in KINDS)]
        for label, name in zip(labels, names, strict=True)
    ]
    return table(["prediction", *KINDS], rows)


def variant_table(results: Results, variants: Sequence[Row], mix: float = MIXES[0]) -> str:
    """Accuracy of each kind, for variants at a mix."""
    rows = []
    for row in variants:
        found = [values(results, row, scenario(mix), accuracy(kind)) for kind in KINDS]
        rows.append([row.name, str(len(found[0])), *map(cell, found)])
    return table(["variant", "seeds", *KINDS], rows)


def aims_table(results: Results) -> str:
    """Whether `parse` is above every peer for every kind of agent, by more than the interval."""
    rows = []
    for kind in KINDS:
        for peer in PEERS:
            ours, theirs = (values(results, row, scenario(MIXES[0]), accuracy(kind)) for row in (PARSE, peer))
            complete = len(ours) == len(theirs) == len(SEEDS)
            change, half = paired_difference(ours, theirs) if complete else (0.0, 0.0)
            rows.append(
                [
                    f"{MIXES[0]:.0%} multimodal, {kind}: above `{peer.name}` by more than the interval",
                    difference(ours, theirs),
                    mark(change > half if complete else None),
                ]
            )
    return table(["aim", "measured", ""], rows)


def kinds_in(results: Results, suite: str, name: str) -> list[str]:
    """The kinds of agents in a scenario, single ones first; those of two sensors before there are results."""
    for seed in SEEDS:
        if found := results.get(Case(suite, PARSE, name, seed).key):
            kinds = filter(of_all_slices, found["accuracy"][SPLIT])
            return sorted(kinds, key=lambda kind: (kind.count("+"), kind))
    return list(KINDS)


def values(results: Results, row: Row, name: str, of: Figure, suite: str = TWO) -> list[float]:
    """A figure for every seed that was run, in seed order."""
    keys = [Case(suite, row, name, seed).key for seed in SEEDS]
    return [of(results[key]) for key in keys if key in results]


def accuracy(name: str) -> Figure:
    """Accuracy of a prediction."""
    return lambda figures: float(figures["accuracy"][SPLIT][name]["accuracy"])
