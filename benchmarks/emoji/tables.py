"""Tables of suite `emoji`."""

from __future__ import annotations

from benchmarks.emoji.cases import METHOD_ROWS, SUITE, method_cases
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


def question_table(results: Results, figure: str, chance: str) -> str:
    """A row a method, after the row of chance."""
    runs = {row.name: [results[c.key] for c in method_cases() if c.row == row and c.key in results] for row in METHOD_ROWS}
    everything = [run for own in runs.values() for run in own]
    rows = [["chance", *(cell([_value(run, pair, chance) for run in everything[:1]]) for pair in PAIRS), ""]]
    for name, own in runs.items():
        cpu = cell([cpu_seconds(run) for run in own], digits=0)
        rows.append([name, *(cell([_value(run, pair, figure) for run in own]) for pair in PAIRS), cpu])
    return table(["", *PAIRS, "CPU s"], rows)


def _value(run: Figures, pair: str, figure: str) -> float:
    return float(run["held-out"][pair][figure])
