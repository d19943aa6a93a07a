"""Folders of a made-up graph: papers whose numbers and texts tell their class, and citations that mostly stay within it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

LABELS = ("2", "10", "30")
WIDTHS = {"numbers": 2, "text": 6}
GRAPH = """\
[graph]
nodes = "papers.csv"
edges = "citations.csv"

[graph.features]
numbers = ["year", "pages"]
text = "abstracts.npy"
"""


def write_graph(folder: Path, nodes: int = 40, seed: int = 0) -> Path:
    """Nodes by turns of the classes, linked to the next of their class and to one at random. Every fifth lacks the text, every
    seventh the numbers, every ninth its label.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    (folder / "dataset.toml").write_text(GRAPH)
    rows, text_NF = ["id,label,year,pages"], rng.normal(0, 0.3, (nodes, WIDTHS["text"]))
    for n in range(nodes):
        number = n % len(LABELS)
        text_NF[n, 2 * number] += 2
        year, pages = (f"{v:.3f}" if n % 7 else "" for v in rng.normal(number, 0.3, 2))
        rows.append(f"p{n},{LABELS[number] if n % 9 else ''},{year},{pages}")
    text_NF[::5] = np.nan
    np.save(folder / "abstracts.npy", text_NF)
    pairs = {(n - 3, n) for n in range(3, nodes)} | {(int(rng.integers(n)), n) for n in range(1, nodes)}
    (folder / "papers.csv").write_text("\n".join(rows) + "\n")
    (folder / "citations.csv").write_text("\n".join(["source,target", *(f"p{a},p{b}" for a, b in sorted(pairs))]) + "\n")
    return folder
