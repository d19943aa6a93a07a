"""What the README shows of all comparisons: a row a question, the answer of a method of Concord's beside that of others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from benchmarks.markdown import table


class Headline(NamedTuple):
    """A question of a comparison, and what was measured."""

    question: str
    ours: str
    beside: str


def headline_table(headlines: Iterable[tuple[str, Headline]]) -> str:
    """All headlines, each with the suite that it is of."""
    rows = [[f"[`{suite}`](benchmarks/results/{suite}.md)", *headline] for suite, headline in headlines]
    return table(["suite", "question", "Concord", "beside it"], rows)


def named(found: Iterable[tuple[str, str]]) -> str:
    """Figures with the names of their methods."""
    return "; ".join(f"{name} {figure}" for name, figure in found)
