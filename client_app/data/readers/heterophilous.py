"""Graphs whose neighbours often differ in class, each with ten fixed splits (Pei et al. 2020, Platonov et al. 2023).

Rows are scaled to sum to one. The seed chooses the split: seed 10 is split 0 again.

Legend: N nodes, F features, P pairs, K splits.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from client_app.data.graph import TEST, TRAIN, VALIDATION, NodeGraph, graph_of_words
from client_app.data.packs import Array, ArrayFile, read_arrays

FEATURES = "features"
SPLITS = 10


def heterophilous_file(name: str, size: int, sha256: str, nodes: int, classes: int, features: int) -> ArrayFile:
    """The pack file of one graph."""
    return ArrayFile(
        path=f"graphs/{name}.npz",
        origin="yandex-research/heterophilous-graphs at commit a431395582e9, data/",
        size=size,
        sha256=sha256,
        arrays={
            "node_features": Array("real", (nodes, features), 0, 1),
            "node_labels": Array("integer", (nodes,), 0, classes - 1),
            "edges": Array("integer", ("P", 2), 0, nodes - 1),
            "train_masks": Array("mask", (SPLITS, nodes)),
            "val_masks": Array("mask", (SPLITS, nodes)),
            "test_masks": Array("mask", (SPLITS, nodes)),
        },
    )


def read_heterophilous(file: ArrayFile, data: Path, seed: int) -> NodeGraph:
    """The whole graph with one of its splits."""
    pack = read_arrays(file, data)
    parts = {TRAIN: "train_masks", VALIDATION: "val_masks", TEST: "test_masks"}
    return graph_of_words(
        Path(file.path).stem,
        FEATURES,
        torch.from_numpy(pack["node_features"].astype(np.float32)),
        torch.from_numpy(pack["node_labels"].astype(np.int64)),
        torch.from_numpy(pack["edges"].astype(np.int64)),
        {part: torch.from_numpy(np.flatnonzero(pack[key][seed % SPLITS])) for part, key in parts.items()},
    )
