"""Citation graphs with the public split of Yang et al. 2016 (Planetoid): bags of words of papers that cite each other.

Rows are scaled to sum to one, as in the code of Kipf & Welling 2017. A paper without a class (CiteSeer has 15) is in no
part of the split.

Legend: N papers, F words, P pairs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_matrix

from client_app.data.graph import TEST, TRAIN, VALIDATION, NodeGraph, both_directions
from client_app.data.packs import Array, ArrayFile, read_arrays

WORDS = "words"


def planetoid_file(name: str, size: int, sha256: str, classes: int, words: int) -> ArrayFile:
    """The pack file of one graph."""
    return ArrayFile(
        path=f"graphs/{name}.npz",
        origin="kimiyoung/planetoid at commit af6abf468a77, data/ind.*",
        size=size,
        sha256=sha256,
        arrays={
            "x_indptr": Array("integer", ("N+1",)),
            "x_indices": Array("integer", ("V",), 0, words - 1),
            "edges": Array("integer", ("P", 2), 0),
            "y": Array("integer", ("N",), -1, classes - 1),
            "train": Array("integer", ("R",), 0),
            "val": Array("integer", ("S",), 0),
            "test": Array("integer", ("T",), 0),
        },
    )


def read_planetoid(file: ArrayFile, words: int, data: Path) -> NodeGraph:
    """The whole graph."""
    pack = read_arrays(file, data)
    papers = len(pack["y"])
    counts = np.ones(len(pack["x_indices"]), dtype=np.float32)
    x_NF = torch.from_numpy(csr_matrix((counts, pack["x_indices"], pack["x_indptr"]), (papers, words)).toarray())
    name = Path(file.path).stem
    parts = {TRAIN: "train", VALIDATION: "val", TEST: "test"}
    return NodeGraph(
        name,
        {WORDS: x_NF / x_NF.sum(1, keepdim=True).clamp(min=1)},
        {WORDS: torch.ones(papers, dtype=torch.bool)},
        torch.from_numpy(pack["y"].astype(np.int64)),
        both_directions(torch.from_numpy(pack["edges"].astype(np.int64))),
        {part: torch.from_numpy(pack[key].astype(np.int64)) for part, key in parts.items()},
        tuple(f"{name}/{paper}" for paper in range(papers)),
    )
