"""``python -m benchmarks SUITE --data DIR``: runs what is missing of a comparison and writes its tables again."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from benchmarks.activity import cases as activity_cases
from benchmarks.activity import tables as activity_tables
from benchmarks.agents import cases as agent_cases
from benchmarks.agents import tables as agent_tables
from benchmarks.digits import cases as digits_cases
from benchmarks.digits import tables as digits_tables
from benchmarks.graphs import cases as graph_cases
from benchmarks.graphs import tables as graph_tables
from benchmarks.markdown import Results, replace_block
from benchmarks.sweep import Case, read_results, run_cases
from concord.graphs import GRAPHS
from concord.run_folder import atomic_write

HERE = Path(__file__).parent
README = HERE.parent / "README.md"


@dataclass(frozen=True)
class Comparison:
    """The runs of a suite and what is made of them: a page of all tables, and what the README shows, if anything."""

    methods: Callable[[], Iterable[Case]]
    ablations: Callable[[], Iterable[Case]]
    page: Callable[[Results], str]
    block: Callable[[Results], str] | None = None


COMPARISONS = {
    "digits": Comparison(
        digits_cases.method_cases, digits_cases.ablation_cases, digits_tables.whole_page, digits_tables.readme_block
    ),
    "activity": Comparison(
        activity_cases.method_cases, activity_cases.ablation_cases, activity_tables.whole_page, activity_tables.readme_block
    ),
    activity_cases.VALIDATION_SUITE: Comparison(activity_cases.trial_cases, tuple, activity_tables.trials_page),
    agent_cases.TWO: Comparison(
        agent_cases.method_cases, agent_cases.ablation_cases, agent_tables.whole_page, agent_tables.readme_block
    ),
    agent_cases.THREE: Comparison(
        agent_cases.three_cases,
        tuple,
        agent_tables.page_of(agent_cases.THREE, agent_cases.three_cases, "16 agents; the multimodal ones hold three sensors."),
    ),
    "strokes": Comparison(
        agent_cases.strokes_cases,
        tuple,
        agent_tables.page_of("strokes", agent_cases.strokes_cases, "15 agents: images, pen paths, or both."),
    ),
    agent_cases.VALIDATION: Comparison(agent_cases.trial_cases, tuple, agent_tables.trials_page),
    **{
        suite: Comparison(graph_cases.method_cases(suite), graph_cases.ablation_cases(suite), graph_tables.page_of(suite))
        for suite in GRAPHS
    },
}


def main() -> None:
    """Parses the command line and does it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Compare all methods on a suite.")
    parser.add_argument("suite", choices=COMPARISONS)
    parser.add_argument("--data", type=Path, help="folder with the data packs; without it only the tables are written again")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, one core each (default 2)")
    parser.add_argument("--part", choices=("methods", "ablations", "all"), default="all", help="which runs (default all)")
    arguments = parser.parse_args()
    comparison = COMPARISONS[arguments.suite]
    results = HERE / "results" / f"{arguments.suite}.jsonl"
    if arguments.data:
        parts = {"methods": [comparison.methods()], "ablations": [comparison.ablations()]}
        cases = chain(*parts.get(arguments.part, [*parts["methods"], *parts["ablations"]]))
        run_cases(cases, arguments.data.resolve(), results, arguments.jobs)
    write_tables(comparison, arguments.suite, read_results(results))


def write_tables(comparison: Comparison, suite: str, results: Results) -> None:
    """Writes the page of a comparison and its part of the README."""
    atomic_write(HERE / "results" / f"{suite}.md", comparison.page(results))
    if comparison.block is not None:
        replace_block(README, suite, comparison.block(results))


if __name__ == "__main__":
    main()
