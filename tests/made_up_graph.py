"""A made-up graph in the place of a pack's, with its shapes: two classes of words, and neighbours that mostly differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np

NODES, FEATURES, CLASSES, SPLITS = 183, 1703, 5, 10


def write_texas(data: Path, seed: int = 0) -> Path:
    """Writes ``graphs/texas.npz`` below `data`, as suite `heterophily` reads it."""
    rng = np.random.default_rng(seed)
    y_N = np.arange(NODES) % CLASSES
    x_NF = (rng.random((NODES, FEATURES)) < 0.02).astype(np.float32)
    for node, label in enumerate(y_N):
        x_NF[node, 20 * label : 20 * label + 10] = 1
    edges = np.array([(i, j) for i in range(NODES) for j in (i + 1, i + 7, i + 10) if j < NODES])
    part_KN = np.stack([rng.permutation(NODES) for _ in range(SPLITS)])
    masks = {"train_masks": part_KN < 90, "val_masks": (part_KN >= 90) & (part_KN < 130), "test_masks": part_KN >= 130}
    (data / "graphs").mkdir(parents=True, exist_ok=True)
    np.savez(data / "graphs" / "texas.npz", node_features=x_NF, node_labels=y_N, edges=edges, **masks)
    return data
