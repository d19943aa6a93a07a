"""Tables of suite `digits`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from statistics import mean

from benchmarks.digits.cases import (
    ABLATION_SCENARIO,
    ABLATIONS,
    METHOD_ROWS,
    MODALITIES,
    SCENARIOS,
    STANDS_FOR,
    UNLABELLED,
    method_cases,
)
from benchmarks.headlines import Headline, named
from benchmarks.markdown import Figure, Results, bytes_of, cell, difference, mark, seconds, seeds_run, table
from benchmarks.sweep import SEEDS, Figures, Row
from concord.functional.statistics import paired_difference

SPLITS = ("random", "unseen")
SPACES = ("pooled", "anchor-coordinates")
COMMAND = "python -m benchmarks digits --data DIR"


def whole_page(results: Results) -> str:
    """Every figure of the comparison."""
    parts = [
        "# Results on suite `digits`",
        f"Made by `{COMMAND}`. Mean and 95 % interval (Student t) over the seeds; a dash: not run yet; no interval: one seed. "
        + seeds_run(results, list(method_cases())),
        "Settings were chosen on samples held out of the training data of other seeds (100 and up), never on test data.",
        "A row that keeps its heads at home, or has one node, is the same run in `local-heads` as in `labelled`; "
        "`anchors-only` is one run for all scenarios; `self-training` without unlabelled samples is `local`.",
    ]
    parts += ["## Overview", summary_table(results)]
    for scenario in SCENARIOS:
        parts.append(f"## Scenario `{scenario}`")
        for split in SPLITS:
            parts += [f"### Accuracy, split `{split}`", accuracy_table(results, scenario, split)]
        for space in SPACES:
            parts += [
                f"### Cross-modal retrieval, {space}, split `random`: P@10 / mAP",
                pair_table(results, scenario, space),
            ]
        parts += ["### CKA between modalities (biased)", cka_table(results, scenario)]
        parts += ["### Cost", cost_table(results, scenario)]
    parts += [f"## Ablations of `geolora`, scenario `{ABLATION_SCENARIO}`", ablation_table(results)]
    parts += ["## Aims", aims_table(results)]
    return "\n\n".join(parts) + "\n"


def results_block(results: Results) -> str:
    """What docs/results.md shows: accuracy where labels are missing, retrieval, cost, and the aims."""
    parts = [
        f"Accuracy in scenario `{UNLABELLED}` (speech nodes have no labels), split `random`, mean ± 95 % interval (no interval: "
        "one seed). " + seeds_run(results, list(method_cases())),
        accuracy_table(results, UNLABELLED, "random"),
        "Cross-modal retrieval in pooled embeddings by scenario: P@10, mean over the 20 ordered pairs of modalities (chance "
        "0.10); and bytes that a node sends in a round, scenario `labelled`:",
        retrieval_overview(results),
        "Aims:",
        aims_table(results),
        "Every figure (both splits, mAP, anchor coordinates, CKA, cost, ablations): "
        f"[benchmarks/results/digits.md](../benchmarks/results/digits.md). Made by `{COMMAND}`.",
    ]
    return "\n\n".join(parts)


def headlines(results: Results) -> Iterator[Headline]:
    """What the README shows of it."""
    named_rows = {row.name: row for row in METHOD_ROWS}
    for question, scenario, of, beside in (
        ("accuracy on speech, whose nodes have no labels", UNLABELLED, accuracy("speech", "random"), ("fedavg", "centralised")),
        ("other modalities' samples found, heads at home: P@10", "local-heads", retrieval("pooled"), ("fedavg", "fedproto")),
        (
            "the same, each modality with labels of six classes of ten",
            "disjoint-labels",
            retrieval("pooled"),
            ("fedavg", "fedproto"),
        ),
    ):
        ours, *theirs = (cell(seed_values(results, named_rows[name], scenario, of)) for name in ("geolora", *beside))
        yield Headline(question, f"geolora {ours}", named(zip(beside, theirs, strict=True)))


def retrieval_overview(results: Results) -> str:
    """P@10 in pooled embeddings by method and scenario, and bytes up."""
    rows = []
    for row in METHOD_ROWS:
        scores = [cell(seed_values(results, row, scenario, retrieval("pooled"))) for scenario in SCENARIOS]
        rows.append([row.name, *scores, cell(seed_values(results, row, "labelled", bytes_of("up")), 1000, 0)])
    return table(["method", *(f"`{scenario}`" for scenario in SCENARIOS), "kB up"], rows)


def accuracy_table(results: Results, scenario: str, split: str) -> str:
    """Accuracy of each modality and method."""
    rows = [
        [row.name, *(cell(seed_values(results, row, scenario, accuracy(modality, split))) for modality in MODALITIES)]
        for row in METHOD_ROWS
    ]
    return table(["method", *MODALITIES], rows)


def summary_table(results: Results) -> str:
    """One line a method and scenario."""
    rows = []
    for scenario in SCENARIOS:
        for row in METHOD_ROWS:
            values = (retrieval("pooled"), retrieval("anchor-coordinates"), mean_cka, bytes_of("up"), bytes_of("down"), seconds)
            figures = [seed_values(results, row, scenario, value) for value in values]
            cells = [cell(v) for v in figures[:3]] + [cell(v, 1000, 0) for v in figures[3:5]] + [cell(figures[5], 1, 0)]
            rows.append([f"`{scenario}`", row.name, *cells])
    return table(["scenario", "method", "P@10 pooled", "P@10 anchor coord.", "CKA", "kB up", "kB down", "seconds"], rows)


def pair_table(results: Results, scenario: str, space: str) -> str:
    """P@10 and mAP of every ordered pair and method."""
    rows = []
    for pair in (f"{a}->{b}" for a, b in permutations(MODALITIES, 2)):
        cells = []
        for row in METHOD_ROWS:
            both = [seed_values(results, row, scenario, pair_figure(space, pair, kind)) for kind in ("precision-at-10", "map")]
            cells.append(" / ".join(map(cell, both)))
        rows.append([pair, *cells])
    return table(["query->gallery", *(row.name for row in METHOD_ROWS)], rows)


def cka_table(results: Results, scenario: str) -> str:
    """CKA of every pair of modalities and method."""
    pairs = sorted({"|".join(sorted(pair)) for pair in permutations(MODALITIES, 2)})
    rows = []
    for pair in pairs:
        values = [seed_values(results, row, scenario, lambda figures, pair=pair: figures["cka"][pair]) for row in METHOD_ROWS]  # type: ignore[misc]
        rows.append([pair, *map(cell, values)])
    return table(["pair", *(row.name for row in METHOD_ROWS)], rows)


def cost_table(results: Results, scenario: str) -> str:
    """Bytes of a node and round, and time of a run."""
    rows = []
    for row in METHOD_ROWS:
        up, down = (seed_values(results, row, scenario, bytes_of(way)) for way in ("up", "down"))
        wall = seed_values(results, row, scenario, seconds)
        processor = seed_values(results, row, scenario, lambda figures: figures["cpu-seconds"])
        rows.append([row.name, cell(up, 1000, 1), cell(down, 1000, 1), cell(wall, 1, 0), cell(processor, 1, 0)])
    header = [
        "method",
        "kB up / node and round",
        "kB down / node and round",
        "wall seconds (two runs at a time on two cores)",
        "CPU seconds",
    ]
    return table(header, rows)


def ablation_table(results: Results) -> str:
    """Each ingredient left out or replaced; differences are paired by seed with the full method."""
    full = Row("geolora", "geolora")
    figures: list[Figure] = [accuracy("speech", "random"), mean_accuracy, retrieval("pooled"), retrieval("anchor-coordinates")]
    whole = [seed_values(results, full, ABLATION_SCENARIO, f) for f in figures]
    rows = [["full method", str(len(whole[0])), *map(cell, whole), "", "", ""]]
    for row in ABLATIONS:
        values = [seed_values(results, row, ABLATION_SCENARIO, f) for f in figures]
        changes = [difference(found, full_one[: len(found)]) for found, full_one in zip(values[:3], whole[:3], strict=True)]
        rows.append([row.name, str(len(values[0])), *map(cell, values), *changes])
    changed = ("speech, change from full", "mean, change", "P@10 pooled, change")
    return table(["variant", "seeds", "speech accuracy", "mean accuracy", "P@10 pooled", "P@10 anchor coord.", *changed], rows)


def aims_table(results: Results) -> str:
    """The aims of the comparison, computed, reached or not."""
    rows = [[name, measured, mark(reached)] for name, measured, reached in aims(results)]
    return table(["aim", "measured", ""], rows)


def aims(results: Results) -> list[tuple[str, str, bool | None]]:
    """Name, what was measured, and whether it is reached (None: not measured yet)."""
    by_name = {row.name: row for row in METHOD_ROWS}
    geolora, local = by_name["geolora"], by_name["local"]
    found: list[tuple[str, str, bool | None]] = []
    speech = accuracy("speech", "random")
    own, alone = (seed_values(results, by_name[n], UNLABELLED, speech) for n in ("geolora", "anchors-only"))
    complete = min(len(own), len(alone)) > 1
    found.append((f"`{UNLABELLED}`: speech accuracy at least 0.90", cell(own), mean(own) >= 0.9 if own else None))
    gain = paired_difference(own, alone) if complete and len(own) == len(alone) else None
    found.append(
        (
            f"`{UNLABELLED}`: speech above `anchors-only` by more than the interval",
            difference(own, alone) if gain else "–",
            gain[0] > gain[1] if gain else None,
        )
    )
    for scenario in ("local-heads", "disjoint-labels"):
        for space in SPACES:
            ours, theirs = (seed_values(results, row, scenario, retrieval(space)) for row in (geolora, local))
            text = f"{cell(ours)} (`local`: {cell(theirs)})"
            found.append((f"`{scenario}`: P@10 in {space} at least 0.90", text, mean(ours) >= 0.9 if ours else None))
    for name, bound in (("fedavg", 0.0), ("centralised", 0.02)):
        for modality in MODALITIES:
            figure = accuracy(modality, "random")
            ours, theirs = (seed_values(results, row, "labelled", figure) for row in (geolora, by_name[name]))
            if len(ours) == len(theirs) > 1:
                change, half = paired_difference(ours, theirs)
                reached = change >= -half if name == "fedavg" else change >= -bound
                found.append((_labelled_aim(modality, name), difference(ours, theirs), reached))
            else:
                found.append((_labelled_aim(modality, name), "–", None))
    return found


def _labelled_aim(modality: str, name: str) -> str:
    aim = "not below `fedavg` by more than the interval" if name == "fedavg" else "within 2 points of `centralised`"
    return f"`labelled`: {modality} {aim}"


def seed_values(results: Results, row: Row, scenario: str, figure: Figure) -> list[float]:
    """A figure for every seed that was run, in seed order."""
    name, where = STANDS_FOR.get((row.name, scenario), (row.name, scenario))
    keys = [f"{name} | {where} | {seed}" for seed in SEEDS]
    return [figure(results[key]) for key in keys if key in results]


def accuracy(modality: str, split: str) -> Figure:
    """Accuracy of a modality."""
    return lambda figures: float(figures["accuracy"][split][modality]["accuracy"])


def mean_accuracy(figures: Figures) -> float:
    """Mean over the modalities, split random."""
    return float(mean(figures["accuracy"]["random"][modality]["accuracy"] for modality in MODALITIES))


def retrieval(space: str) -> Figure:
    """P@10, mean over the ordered pairs, split random."""
    return lambda figures: mean(pair["precision-at-10"] for pair in figures["retrieval"]["random"][space].values())


def pair_figure(space: str, pair: str, kind: str) -> Figure:
    """One retrieval figure of one pair, split random."""
    return lambda figures: float(figures["retrieval"]["random"][space][pair][kind])


def mean_cka(figures: Figures) -> float:
    """CKA, mean over the pairs of modalities."""
    return float(mean(figures["cka"].values()))
