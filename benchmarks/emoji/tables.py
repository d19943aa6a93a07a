"""Tables of suite `emoji`."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.emoji.cases import CONTRASTIVE_ROW, METHOD_ROWS, SUITE, method_cases
from benchmarks.headlines import Headline, named
from benchmarks.markdown import Results, cell, cpu_seconds, seeds_run, table
from benchmarks.sweep import Figures

PAIRS = ("text->noto", "noto->text", "text->fx", "fx->text", "noto->fx", "fx->noto")
QUESTIONS = {
    "Is what is found of the same subgroup? Precision at 10": ("subgroup-precision-at-10", "subgroup-chance"),
    "Is it the same concept? Mean average precision (with one right answer, mean reciprocal rank)": (
        "concept-map",
        "concept-chance",
    ),
}


def whole_page(results: Results) -> str:
    """The page of the suite."""
    parts = [
        f"# Results on suite `{SUITE}`",
        f"Made by `python -m benchmarks {SUITE} --data DIR`. Retrieval over concepts that were in no training, of the exported "
        "model by anchor coordinates; of contrastive training by its embeddings. Queries whose concept the gallery lacks are "
        "left out. Mean and 95 % interval (Student t) over the seeds; no interval: one seed; a dash: not run yet. "
        + seeds_run(results, list(method_cases())),
    ]
    for question, (figure, chance) in QUESTIONS.items():
        parts += [f"## {question}", question_table(results, figure, chance)]
    return "\n\n".join(parts) + "\n"


def results_block(results: Results) -> str:
    """What docs/results.md shows of it."""
    question, (figure, chance) = next(iter(QUESTIONS.items()))
    return "\n\n".join(
        [
            f"Suite `{SUITE}`: retrieval over concepts that were in no training. {question}; mean and 95 % interval. "
            + seeds_run(results, list(method_cases())),
            question_table(results, figure, chance),
            f"Whether it is the same concept: [benchmarks/results/{SUITE}.md](../benchmarks/results/{SUITE}.md). "
            f"Made by `python -m benchmarks {SUITE} --data DIR`.",
        ]
    )


def headlines(results: Results) -> Iterator[Headline]:
    """What the README shows of it."""
    runs = runs_by_row(results)
    if not all(runs.values()):
        return
    (figure, chance), *_ = QUESTIONS.values()
    for pair, question in (("noto->text", "names found for pictures of new emoji"), ("text->noto", "and pictures for names")):
        by_chance = _value(runs["geolora"][0], pair, chance)
        rows = ("geolora", "fedavg", "centralised", CONTRASTIVE_ROW)
        ours, *theirs = (cell([_value(run, pair, figure) for run in runs[name]]) for name in rows)
        beside = named(zip(("fedavg", "centralised", "contrastive, all pairs in one place"), theirs, strict=True))
        yield Headline(f"{question}: right subgroup, P@10 (chance {by_chance:.3f})", f"geolora {ours}", beside)


def runs_by_row(results: Results) -> dict[str, list[Figures]]:
    """The runs of each row that are done."""
    return {row.name: [results[c.key] for c in method_cases() if c.row == row and c.key in results] for row in METHOD_ROWS}


def question_table(results: Results, figure: str, chance: str) -> str:
    """A row a method, after the row of chance."""
    runs = runs_by_row(results)
    everything = [run for own in runs.values() for run in own]
    rows = [["chance", *(cell([_value(run, pair, chance) for run in everything[:1]]) for pair in PAIRS), ""]]
    for name, own in runs.items():
        cpu = cell([cpu_seconds(run) for run in own], digits=0)
        rows.append([name, *(cell([_value(run, pair, figure) for run in own]) for pair in PAIRS), cpu])
    return table(["", *PAIRS, "CPU s"], rows)


def _value(run: Figures, pair: str, figure: str) -> float:
    return float(run["held-out"][pair][figure])
