"""Tables of suite `activity`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from statistics import mean

import numpy as np

from benchmarks.activity.cases import (
    ABLATION_RATE,
    ABLATIONS,
    ATTACKED,
    FULL,
    JOINT_ROW,
    LATE_FUSION_ROW,
    METHOD_ROWS,
    RATES,
    SENSORS,
    SUITE,
    VALIDATION_SEEDS,
    VALIDATION_SUITE,
    ablation_cases,
    method_cases,
    scenario,
    trial_cases,
)
from benchmarks.attacks import ABSENT, ATTACKS
from benchmarks.headlines import Headline, named
from benchmarks.markdown import (
    Figure,
    Results,
    bytes_in_all,
    cell,
    cpu_seconds,
    difference,
    mark,
    seeds_run,
    table,
    trials_table,
)
from benchmarks.sweep import SEEDS, Case, Figures, Row
from concord.functional.statistics import paired_difference
from concord.samples import FUSED

COMMAND = "python -m benchmarks activity --data DIR"
COLUMNS = (FUSED, *SENSORS)
SPLIT = "unseen"
PEERS = [row for row in METHOD_ROWS if row != FULL and row.method != "centralised"]
SHOWN = (FULL, JOINT_ROW, LATE_FUSION_ROW)  # in the README
FEWER_BYTES = 30
POINT = 0.01
TARGET = 0.7  # fused accuracy until which bytes are counted


def whole_page(results: Results) -> str:
    """Every figure of the comparison."""
    parts = [
        "# Results on suite `activity`",
        f"Made by `{COMMAND}`. Two people whom no node has (split `{SPLIT}`); mean and 95 % interval (Student t) over the seeds; "
        "a dash: not run yet; no interval: one seed. Equal local steps in all rows; CPU seconds on one core. "
        + seeds_run(results, list(method_cases())),
        "The two people are the same for all seeds, so the intervals tell of splits, missing sensors and training only.",
        "A node predicts from the sensors that it holds; `centralised` holds all, so at missing rates above 0 its fused figure "
        "is of more sensors. Without a regulariser, phases and late fusion are the same but for the order of steps.",
    ]
    for rate in RATES:
        parts += [
            f"## Missing rate {rate}",
            "### Accuracy",
            figure_table(results, rate, "accuracy"),
            "### Macro F1",
            figure_table(results, rate, "macro-f1"),
            "### Cost",
            cost_table(results, rate),
        ]
    parts += [
        f"## Ablations of `fedmchain`, missing rate {ABLATION_RATE}",
        seeds_run(results, list(ablation_cases())),
        ablation_table(results),
        f"## A fifth of the nodes attacks, missing rate {ABLATION_RATE}",
        "Fused accuracy, and its change from a run of honest nodes. `sign-flip`: changes negated; `large-norm`: ten times as "
        "large; `mimicry`: the change of one honest node, sent by all attackers; `absent`: nothing, the control: what is lost "
        "with their data alone.",
        attack_table(results),
        "## Aims",
        aims_table(results),
    ]
    return "\n\n".join(parts) + "\n"


def trials_page(results: Results) -> str:
    """What settings were chosen by."""
    columns = {column: (figure(column), ".3f") for column in COLUMNS}
    columns["kB up / node"] = (lambda figures: bytes_in_all("up")(figures) / 1000, ".0f")
    parts = [
        f"# Trials on suite `{VALIDATION_SUITE}`",
        f"Made by `python -m benchmarks {VALIDATION_SUITE} --data DIR`. For choosing the settings of `fedmchain`: of the "
        f"people of suite `{SUITE}` five train, the sixth is unseen, and the two that results are of take no part. Missing "
        f"rate {ABLATION_RATE}; accuracy on the unseen person, mean over seeds {' and '.join(map(str, VALIDATION_SEEDS))}, "
        "without intervals: one person and two seeds tell large differences only. Without another word, rows are of 12 rounds "
        "of 20 local steps, and rows of `fedmchain` with a density alone as its first.",
        trials_table(results, trial_cases(), columns),
    ]
    return "\n\n".join(parts) + "\n"


def results_block(results: Results) -> str:
    """What docs/results.md shows: accuracy at the highest missing rate, and the aims."""
    parts = [
        f"Suite `activity`: accuracy on two people whom no node has, each sensor missing at a node at rate {RATES[-1]}; "
        "mean ± 95 % interval. " + seeds_run(results, [c for c in method_cases() if c.scenario == scenario(RATES[-1])]),
        figure_table(results, RATES[-1], "accuracy"),
        "Aims (a dash: not run over all seeds yet):",
        aims_table(results),
        "Every figure (other rates, macro F1, bytes, ablations): "
        f"[benchmarks/results/activity.md](../benchmarks/results/activity.md). Made by `{COMMAND}`.",
    ]
    return "\n\n".join(parts)


def headlines(results: Results) -> Iterator[Headline]:
    """What the README shows of it."""
    rate, at_cost = RATES[-1], []
    for row in SHOWN:
        fused, up = (seed_values(results, row, rate, of) for of in (figure(FUSED), bytes_in_all("up")))
        if fused:
            at_cost.append((row.name, f"{cell(fused)} for {mean(up) / 1000:.0f} kB"))
    if at_cost:
        question = "accuracy on new people, half of the sensors missing, and what a node sends in all"
        yield Headline(question, " ".join(at_cost[0]), named(at_cost[1:]))
    changes = [
        (row.name, difference(found, seed_values(results, row, rate, figure(FUSED))[: len(found)]))
        for row in (FULL, JOINT_ROW)
        if (found := seed_values(results, row, rate, figure(FUSED), "sign-flip"))
    ]
    if changes:
        yield Headline("the same when a fifth of the nodes flips all signs: change", " ".join(changes[0]), named(changes[1:]))
    alone = [(row.name, cell(found)) for row in SHOWN if (found := seed_values(results, row, RATES[0], weakest))]
    if alone:
        yield Headline("accuracy of the weakest sensor by itself, none missing at a node", " ".join(alone[0]), named(alone[1:]))


def figure_table(results: Results, rate: float, kind: str) -> str:
    """``accuracy`` or ``macro-f1`` of the fused prediction and of each sensor."""
    rows = [
        [row.name, *(cell(seed_values(results, row, rate, figure(column, kind))) for column in COLUMNS)] for row in METHOD_ROWS
    ]
    return table(["method", *COLUMNS], rows)


def cost_table(results: Results, rate: float) -> str:
    """Bytes of a node in a whole run and until the fused accuracy is `TARGET`, and time of a run."""
    rows = []
    for row in METHOD_ROWS:
        up, down = (seed_values(results, row, rate, bytes_in_all(way)) for way in ("up", "down"))
        until_up, until_down = (seed_values(results, row, rate, bytes_until(way)) for way in ("up", "down"))
        wall = cell(seed_values(results, row, rate, cpu_seconds), 1, 0)
        same = cell(at_equal_bytes(results, row, rate))
        rows.append([row.name, cell(up, 1000, 0), cell(down, 1000, 0), reached(until_up), reached(until_down), same, wall])
    until = f"until {TARGET:.0%} fused"
    header = ["kB up / node", "kB down / node", f"kB up {until}", f"kB down {until}", "fused at equal bytes up", "CPU seconds"]
    return table(["method", *header], rows)


def at_equal_bytes(results: Results, row: Row, rate: float) -> list[float]:
    """Fused accuracy, by seed, once a node has sent as many bytes as `fedmchain` sends in its whole run; linear in rounds."""
    both = [(seed_figures(results, FULL, rate, seed), seed_figures(results, row, rate, seed)) for seed in SEEDS]
    found = []
    for full, own in both:
        if full and own:
            rounds = bytes_in_all("up")(full) / own["bytes"]["up-per-node-round"]
            found.append(float(np.interp(rounds, range(len(own["curve"])), own["curve"])))
    return found


def seed_figures(results: Results, row: Row, rate: float, seed: int) -> Figures:
    """All figures of one run; empty: it was not run yet."""
    return results.get(Case(SUITE, row, scenario(rate), seed).key, {})


def reached(values: list[float]) -> str:
    """Mean and interval over the seeds that got there, and how many did where not all."""
    got = [value for value in values if math.isfinite(value)]
    return cell(got, 1000, 0) + (f" ({len(got)} of {len(values)} seeds)" if len(got) < len(values) else "")


def bytes_until(way: str) -> Figure:
    """Bytes that a node has sent (``up``) or got (``down``) when the fused accuracy was first `TARGET`; infinite: never."""

    def figure_of(figures: Figures) -> float:
        rounds = next((r for r, accuracy in enumerate(figures["curve"]) if accuracy >= TARGET), math.inf)
        return float(rounds * figures["bytes"][f"{way}-per-node-round"])

    return figure_of


def ablation_table(results: Results) -> str:
    """Each ingredient left out or replaced; differences are paired by seed with the full method."""
    figures: list[Figure] = [figure(FUSED), weakest, bytes_in_all("up")]
    whole = [seed_values(results, FULL, ABLATION_RATE, f) for f in figures]
    rows = [["full method", str(len(whole[0])), cell(whole[0]), cell(whole[1]), cell(whole[2], 1000, 0), ""]]
    for row in ABLATIONS:
        values = [seed_values(results, row, ABLATION_RATE, f) for f in figures]
        change = difference(values[0], whole[0][: len(values[0])])
        rows.append([row.name, str(len(values[0])), cell(values[0]), cell(values[1]), cell(values[2], 1000, 0), change])
    return table(["variant", "seeds", "fused", "weakest sensor", "kB up / node", "fused, change from full"], rows)


def attack_table(results: Results) -> str:
    """Fused accuracy under each attack."""
    rows = []
    for kind in ATTACKS:
        for row in ATTACKED:
            honest = seed_values(results, row, ABLATION_RATE, figure(FUSED))
            found = seed_values(results, row, ABLATION_RATE, figure(FUSED), kind)
            rows.append([kind, row.name, cell(found), difference(found, honest[: len(found)])])
    return table(["attack", "method", "fused", "change"], rows)


def aims_table(results: Results) -> str:
    """The aims of the comparison, computed, reached or not."""
    return table(["aim", "measured", ""], [[name, measured, mark(reached)] for name, measured, reached in aims(results)])


def aims(results: Results) -> list[tuple[str, str, bool | None]]:
    """Name, what was measured, and whether it is reached (None: not measured yet)."""
    found: list[tuple[str, str, bool | None]] = []
    for rate in RATES:
        ours, theirs = (seed_values(results, row, rate, weakest) for row in (FULL, JOINT_ROW))
        reached = mean(ours) - mean(theirs) >= 3 * POINT if len(ours) == len(theirs) == len(SEEDS) else None
        found.append((f"rate {rate}: weakest sensor at least 3 points above joint training", difference(ours, theirs), reached))
    ours = seed_values(results, FULL, RATES[-1], figure(FUSED))
    for condition, theirs_of in (("", partial(seed_values, of=figure(FUSED))), (" at equal bytes up", at_equal_bytes)):
        for peer in PEERS:
            theirs = theirs_of(results, peer, RATES[-1])
            complete = len(ours) == len(theirs) == len(SEEDS)
            change, half = paired_difference(ours, theirs) if complete else (0.0, 0.0)
            name = f"rate {RATES[-1]}: fused accuracy above `{peer.name}`{condition} by more than the interval"
            found.append((name, difference(ours, theirs), change > half if complete else None))
    for rate in RATES:
        sent, whole = (seed_values(results, row, rate, bytes_in_all("up")) for row in (FULL, JOINT_ROW))
        ours, theirs = (seed_values(results, row, rate, figure(FUSED)) for row in (FULL, JOINT_ROW))
        fewer = mean(whole) / mean(sent) if len(sent) == len(whole) == len(SEEDS) else 0.0
        reached = fewer >= FEWER_BYTES and mean(ours) - mean(theirs) >= -POINT if fewer else None
        text = f"{fewer:.0f} times fewer, {difference(ours, theirs)}" if fewer else "–"
        found.append((f"rate {rate}: {FEWER_BYTES} times fewer bytes up than dense `joint` for at most 1 point", text, reached))
    for kind in ATTACKS:
        if kind == ABSENT:
            continue
        honest = seed_values(results, FULL, ABLATION_RATE, figure(FUSED))
        attacked = seed_values(results, FULL, ABLATION_RATE, figure(FUSED), kind)
        complete = len(attacked) == len(honest) == len(SEEDS)
        reached = mean(attacked) - mean(honest) >= -3 * POINT if complete else None
        found.append((f"{kind} by a fifth of the nodes: at most 3 points lost", difference(attacked, honest), reached))
    return found


def seed_values(results: Results, row: Row, rate: float, of: Figure, attack: str = "") -> list[float]:
    """A figure for every seed that was run, in seed order."""
    keys = [Case(SUITE, row, scenario(rate), seed, attack=attack).key for seed in SEEDS]
    return [of(results[key]) for key in keys if key in results]


def figure(column: str, kind: str = "accuracy") -> Figure:
    """Accuracy or macro F1 of a sensor or of the fused prediction."""
    return lambda figures: float(figures["accuracy"][SPLIT][column][kind])


def weakest(figures: dict[str, dict[str, dict[str, dict[str, float]]]]) -> float:
    """Accuracy of the weakest sensor."""
    return min(figures["accuracy"][SPLIT][sensor]["accuracy"] for sensor in SENSORS)
