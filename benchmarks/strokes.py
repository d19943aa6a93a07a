"""What is compared on suite `strokes`, images and pen paths of the same characters: with a server and without.

Settings are those of suites `activity` and `activity-agents`; none was chosen on this suite.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.activity.cases import COMMON, FULL, JOINT, JOINT_ROW, LATE_FUSION_ROW, PHASES_ROW
from benchmarks.agents.cases import COMMON as COMMON_OF_AGENTS
from benchmarks.agents.cases import METHOD_ROWS as AGENT_ROWS
from benchmarks.agents.tables import accuracy, method_table, values
from benchmarks.markdown import Results, bytes_in_all, cell, cpu_seconds, difference, seeds_run, table
from benchmarks.sweep import SEEDS, Case, Row
from concord.kinds import kind_of
from concord.samples import FUSED

SUITE, SCENARIO = "strokes", "labelled"
MODALITIES = ("image", "pen")
COLUMNS, KINDS = (FUSED, *MODALITIES), (*MODALITIES, kind_of(MODALITIES))
CENTRALISED_STEPS = 20 * 10  # one node takes as many batches of each modality as the ten nodes that hold it
SERVER_ROWS = (
    Row("centralised, joint", "centralised", {**JOINT, "local-steps": CENTRALISED_STEPS}),
    FULL,
    PHASES_ROW,
    JOINT_ROW,
    LATE_FUSION_ROW,
)


def server_cases() -> Iterator[Case]:
    """Every run with a server, seed by seed."""
    for seed in SEEDS:
        for row in SERVER_ROWS:
            yield Case(SUITE, row, SCENARIO, seed, COMMON)


def agent_cases() -> Iterator[Case]:
    """Every run of agents among themselves, seed by seed."""
    for seed in SEEDS:
        for row in AGENT_ROWS:
            yield Case(SUITE, row, SCENARIO, seed, COMMON_OF_AGENTS)


def page(results: Results) -> str:
    """Every figure of the comparison."""
    parts = [
        f"# Results on suite `{SUITE}`",
        f"Made by `python -m benchmarks {SUITE} --data DIR`. 242 characters; five nodes hold images, five pen paths, five both, "
        "one drawing of a character at most. Accuracy on three people whom no node has; mean and 95 % interval (Student t) over "
        "the seeds; a dash: not run yet; no interval: one seed. No setting was chosen on this suite.",
        "## With a server",
        "A node predicts from what it holds, `centralised` from both. Change: of fused accuracy from `joint`, paired by seed. "
        + seeds_run(results, list(server_cases())),
        server_table(results),
        "## Without a server",
        "Agents of each kind. " + seeds_run(results, list(agent_cases())),
        method_table(results, SUITE, SCENARIO, KINDS),
    ]
    return "\n\n".join(parts) + "\n"


def server_table(results: Results) -> str:
    """Accuracy of the fused prediction and of each modality, and what a node sends."""
    joint = values(results, JOINT_ROW, SCENARIO, accuracy(FUSED), SUITE)
    rows = []
    for row in SERVER_ROWS:
        by_column = [values(results, row, SCENARIO, accuracy(column), SUITE) for column in COLUMNS]
        up = cell(values(results, row, SCENARIO, bytes_in_all("up"), SUITE), 1000, 0)
        change = "" if row is JOINT_ROW else difference(by_column[0], joint)
        wall = cell(values(results, row, SCENARIO, cpu_seconds, SUITE), 1, 0)
        rows.append([row.name, *map(cell, by_column), change, up, wall])
    return table(["method", *COLUMNS, "change", "kB up / node", "CPU seconds"], rows)
