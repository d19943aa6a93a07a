"""Suite `citation`: papers that cite each other, Cora and CiteSeer with the public splits; ten parties by communities."""

from __future__ import annotations

from functools import partial

from client_app.data.graph import GraphSource
from client_app.data.readers.planetoid import WORDS, planetoid_file, read_planetoid
from client_app.data.suite import GraphSuite

PARTIES = 10
CORA_CLASSES = (
    "case based",
    "genetic algorithms",
    "neural networks",
    "probabilistic methods",
    "reinforcement learning",
    "rule learning",
    "theory",
)
CITESEER_CLASSES = ("agents", "artificial intelligence", "databases", "information retrieval", "machine learning", "HCI")


def _source(name: str, concepts: tuple[str, ...], papers: int, words: int, size: int, sha256: str) -> GraphSource:
    file = planetoid_file(name, size, sha256, papers, len(concepts), words)
    return GraphSource(name, concepts, {WORDS: words}, PARTIES, (file,), partial(read_planetoid, file, words))


CITATION = GraphSuite(
    name="citation",
    what="graphs of papers that cite each other: cora, citeseer (as graph=<name> in the scenario)",
    licence="MIT, as the repository of the copy states",
    origin="kimiyoung/planetoid: `concord data check` names the copy",
    graphs=(
        _source("cora", CORA_CLASSES, 2708, 1433, 89_452, "4f376286f9b1885b12114b1564bb93a302ea7bb5de242f38c1b2c7d097cbb9bd"),
        _source(
            "citeseer", CITESEER_CLASSES, 3327, 3703, 176_252, "ba333b34aea5e13c098f932fe717a1f4d6be163bc6dfb93255e5daf60b2f4945"
        ),
    ),
)
