"""What docs/results.md shows of a suite of graphs: all graphs in a table for each drift, and how many of the aims are reached."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from benchmarks.graphs.aims import aims
from benchmarks.graphs.cases import (
    CENTRALISED,
    FEDAVG,
    FEDAVG_MLP,
    FEDAVG_SAGE,
    FEDPROTO,
    LOCAL_GCN,
    LOCAL_MLP,
    MISSING,
    STAGE,
    graphs_of,
    method_cases,
)
from benchmarks.graphs.figures import Setting, accuracy, values
from benchmarks.markdown import Results, bytes_of, cell, seeds_run, table
from concord.graphs import DRIFTS, Drift

SHOWN = (STAGE, FEDAVG, FEDAVG_SAGE, FEDAVG_MLP, FEDPROTO, LOCAL_GCN, LOCAL_MLP)


def results_block_of(suite: str) -> Callable[[Results], str]:
    """What docs/results.md shows of a suite."""

    def block(results: Results) -> str:
        lacking = f", a party lacks each modality at rate {MISSING[suite]}" if suite in MISSING else ""
        parts = [
            f"Suite `{suite}`: accuracy on the test nodes{lacking}, mean ± 95 % interval (no interval: one seed; a dash: not run "
            f"yet). {seeds_run(results, list(method_cases(suite)()))}"
        ]
        for drift in DRIFTS:
            parts += [f"Drift: {drift}.", graphs_table(results, suite, drift)]
        parts += [
            "Aims:",
            reached_table(results, suite),
            "Every figure (each aim, links and retrieval, a modality absent, STAGE's network under other methods, bytes, "
            f"ablations): [benchmarks/results/{suite}.md](../benchmarks/results/{suite}.md). "
            f"Made by `python -m benchmarks {suite} --data DIR`.",
        ]
        return "\n\n".join(parts)

    return block


def graphs_table(results: Results, suite: str, drift: Drift) -> str:
    """Accuracy of each method on each graph under a drift, and what a party sends in a round on the first."""
    graphs, rows = graphs_of(suite), []
    for row in (CENTRALISED, *SHOWN) if drift == "none" else SHOWN:
        cells = [cell(values(results, Setting(suite, graph, drift), row, accuracy)) for graph in graphs]
        up = "" if row is CENTRALISED else cell(values(results, Setting(suite, graphs[0], drift), row, bytes_of("up")), 1000, 1)
        rows.append([row.name, *cells, up])
    return table(["method", *(f"`{graph}`" for graph in graphs), f"kB up, `{graphs[0]}`"], rows)


def reached_table(results: Results, suite: str) -> str:
    """How many of the aims of each kind are reached, and where the others are not."""
    kinds: defaultdict[str, list[tuple[str, bool]]] = defaultdict(list)
    for name, _, reached in aims(results, suite):
        where, _, what = name.partition(": ")
        kinds[what] += [] if reached is None else [(where, reached)]
    rows = []
    for what, measured in kinds.items():
        missed = [where for where, reached in measured if not reached]
        rows.append([what, f"{len(measured) - len(missed)} of {len(measured)}", "; ".join(missed)])
    return table(["aim", "reached", "not in"], rows)
