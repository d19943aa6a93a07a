"""``python -m benchmarks SUITE --data DIR``: runs what is missing of a comparison and writes its tables again."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from benchmarks import strokes
from benchmarks.activity import cases as activity_cases
from benchmarks.activity import tables as activity_tables
from benchmarks.agents import cases as agent_cases
from benchmarks.agents import tables as agent_tables
from benchmarks.commands import commands_section
from benchmarks.digits import cases as digits_cases
from benchmarks.digits import tables as digits_tables
from benchmarks.emoji import cases as emoji_cases
from benchmarks.emoji import tables as emoji_tables
from benchmarks.graphs import cases as graph_cases
from benchmarks.graphs import summary as graph_summary
from benchmarks.graphs import tables as graph_tables
from benchmarks.headlines import Headline, headline_table
from benchmarks.markdown import Results, replace_block
from benchmarks.sweep import Case, read_results, run_cases
from concord.graphs import GRAPHS
from concord.run_folder import atomic_write

HERE = Path(__file__).parent
README, RESULTS = HERE.parent / "README.md", HERE.parent / "docs" / "results.md"


@dataclass(frozen=True)
class Comparison:
    """The runs of a suite and what is made of them: a page of all tables, and what docs/results.md and the README show of it."""

    methods: Callable[[], Iterable[Case]]
    ablations: Callable[[], Iterable[Case]]
    page: Callable[[Results], str]
    block: Callable[[Results], str] | None = None
    headlines: Callable[[Results], Iterable[Headline]] | None = None

    def cases(self) -> Iterator[Case]:
        """All runs."""
        return chain(self.methods(), self.ablations())

    def whole_page(self, results: Results) -> str:
        """The page of all tables, and below them how a row is run by itself."""
        return f"{self.page(results).rstrip()}\n\n{commands_section(self.cases())}"


COMPARISONS = {
    "digits": Comparison(
        digits_cases.method_cases,
        digits_cases.ablation_cases,
        digits_tables.whole_page,
        digits_tables.results_block,
        digits_tables.headlines,
    ),
    "activity": Comparison(
        activity_cases.method_cases,
        activity_cases.ablation_cases,
        activity_tables.whole_page,
        activity_tables.results_block,
        activity_tables.headlines,
    ),
    activity_cases.VALIDATION_SUITE: Comparison(activity_cases.trial_cases, tuple, activity_tables.trials_page),
    agent_cases.TWO: Comparison(
        agent_cases.method_cases,
        agent_cases.ablation_cases,
        agent_tables.whole_page,
        agent_tables.results_block,
        agent_tables.headlines,
    ),
    agent_cases.THREE: Comparison(
        agent_cases.three_cases,
        tuple,
        agent_tables.page_of(agent_cases.THREE, agent_cases.three_cases, "16 agents; the multimodal ones hold three sensors."),
    ),
    strokes.SUITE: Comparison(lambda: chain(strokes.server_cases(), strokes.agent_cases()), tuple, strokes.page),
    graph_cases.TRIALS: Comparison(graph_cases.trial_cases, tuple, graph_tables.trials_page),
    "emoji": Comparison(
        emoji_cases.method_cases, tuple, emoji_tables.whole_page, emoji_tables.results_block, emoji_tables.headlines
    ),
    agent_cases.VALIDATION: Comparison(agent_cases.trial_cases, tuple, agent_tables.trials_page),
    **{
        suite: Comparison(
            graph_cases.method_cases(suite),
            graph_cases.ablation_cases(suite),
            graph_tables.page_of(suite),
            graph_summary.results_block_of(suite),
            headlines=graph_tables.headlines_of(suite),
        )
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
    if arguments.data:
        parts = {"methods": comparison.methods, "ablations": comparison.ablations, "all": comparison.cases}
        run_cases(parts[arguments.part](), arguments.data.resolve(), path_of(arguments.suite), arguments.jobs)
    write_tables(arguments.suite)


def write_tables(suite: str) -> None:
    """Writes the page of a comparison and its part of docs/results.md, and the table of the README, which is of all."""
    comparison, results = COMPARISONS[suite], read_results(path_of(suite))
    atomic_write(HERE / "results" / f"{suite}.md", comparison.whole_page(results))
    if comparison.block is not None:
        replace_block(RESULTS, suite, comparison.block(results))
    replace_block(README, "results", headline_table(all_headlines()))


def all_headlines() -> Iterator[tuple[str, Headline]]:
    """The headlines of all comparisons that were run, each with its suite."""
    for suite, comparison in COMPARISONS.items():
        if comparison.headlines is not None and (results := read_results(path_of(suite))):
            for headline in comparison.headlines(results):
                yield suite, headline


def path_of(suite: str) -> Path:
    """Where the figures of a comparison are kept."""
    return HERE / "results" / f"{suite}.jsonl"


if __name__ == "__main__":
    main()
