"""Mean and 95 % interval over the seeds (Student t) in Markdown tables, and where they are written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean

from benchmarks.sweep import Case, Figures
from concord.functional.statistics import mean_interval, paired_difference
from concord.run_folder import atomic_write

Results = Mapping[str, Figures]
Figure = Callable[[Figures], float]


def replace_block(readme: Path, name: str, block: str) -> None:
    """Writes what stands in `readme` between the markers of that name; ValueError where it has none."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    text, found = re.subn(f"{begin}.*{end}", lambda _: f"{begin}\n{block}\n{end}", readme.read_text(), flags=re.DOTALL)
    if found != 1:
        raise ValueError(f"{readme} has {found} blocks between {begin} and {end}")
    atomic_write(readme, text)


def seeds_run(results: Results, cases: Sequence[Case]) -> str:
    """Over which seeds the figures of `cases` are, in a sentence."""
    of_seed = {seed: [case.key in results for case in cases if case.seed == seed] for seed in sorted({c.seed for c in cases})}
    complete = [seed for seed, done in of_seed.items() if all(done)]
    begun = [seed for seed, done in of_seed.items() if any(done) and not all(done)]
    sentence = f"Seeds run: {', '.join(map(str, complete)) or 'none'}"
    return sentence + (f"; in part: {', '.join(map(str, begun))}." if begun else ".")


def mark(reached: bool | None) -> str:
    """What the table of aims says of one; None: not measured yet."""
    return "–" if reached is None else "reached" if reached else "not reached"


def bytes_of(way: str) -> Figure:
    """Bytes of a node and round, ``up`` or ``down``."""
    return lambda figures: float(figures["bytes"][f"{way}-per-node-round"])


def bytes_in_all(way: str) -> Figure:
    """Bytes that a node has sent (``up``) or got (``down``) in the whole run; its curve has a point more than it has rounds."""
    return lambda figures: float(figures["bytes"][f"{way}-per-node-round"] * (len(figures["curve"]) - 1))


def seconds(figures: Figures) -> float:
    """Wall time of a run."""
    return float(figures["seconds"]["total"])


def cpu_seconds(figures: Figures) -> float:
    """CPU time of a run: what else the machine does shows less in it than in wall time."""
    return float(figures["cpu-seconds"])


def cell(values: Sequence[float], unit: float = 1, digits: int = 3) -> str:
    """Mean and interval."""
    if not values:
        return "–"
    centre, half = mean_interval([value / unit for value in values])
    return f"{centre:.{digits}f}" if len(values) == 1 else f"{centre:.{digits}f} ± {half:.{digits}f}"


def difference(values: Sequence[float], reference: Sequence[float]) -> str:
    """Mean and interval of the paired difference."""
    if len(values) != len(reference) or len(values) < 2:
        return "–"
    change, half = paired_difference(values, reference)
    return f"{change:+.3f} ± {half:.3f}"


def trials_table(results: Results, cases: Iterable[Case], columns: Mapping[str, tuple[Figure, str]]) -> str:
    """A row a trial, with means over its seeds without intervals; a column has a figure and how it is written."""
    runs: dict[str, list[Figures]] = {}
    for case in cases:
        runs.setdefault(case.row.name, []).extend([results[case.key]] if case.key in results else [])
    rows = [
        [name, str(len(own)), *(format(mean(map(of, own)), spec) if own else "–" for of, spec in columns.values())]
        for name, own in runs.items()
    ]
    return table(["trial", "seeds", *columns], rows)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
