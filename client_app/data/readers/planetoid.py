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

from client_app.data.graph import TEST, TRAIN, VALIDATION, NodeGraph, graph_of_words
from client_app.data.packs import Array, ArrayFile, read_arrays

WORDS = "words"


def planetoid_file(name: str, size: int, sha256: str, papers: int, classes: int, words: int) -> ArrayFile:
    """The pack file of one graph."""
    return ArrayFile(
        path=f"graphs/{name}.npz",
        origin="kimiyoung/planetoid at commit af6abf468a77, data/ind.*",
        size=size,
        sha256=sha256,
        arrays={
            "x_indptr": Array("integer", (papers + 1,)),
            "x_indices": Array("integer", ("V",), 0, words - 1),
            "edges": Array("integer", ("P", 2), 0, papers - 1),
            "y": Array("integer", (papers,), -1, classes - 1),
            "train": Array("integer", ("R",), 0, papers - 1),
            "val": Array("integer", ("S",), 0, papers - 1),
            "test": Array("integer", ("T",), 0, papers - 1),
        },
    )


def read_planetoid(file: ArrayFile, words: int, data: Path, seed: int) -> NodeGraph:
    """The whole graph; `seed` has no say, since the split is public."""
    pack = {name: values.astype(np.int64) for name, values in read_arrays(file, data).items()}
    counts = np.ones(len(pack["x_indices"]), dtype=np.float32)
    x_NF = csr_matrix((counts, pack["x_indices"], pack["x_indptr"]), (len(pack["y"]), words)).toarray()
    parts = {TRAIN: pack["train"], VALIDATION: pack["val"], TEST: pack["test"]}
    return graph_of_words(
        Path(file.path).stem,
        WORDS,
        torch.from_numpy(x_NF),
        torch.from_numpy(pack["y"]),
        torch.from_numpy(pack["edges"]),
        {part: torch.from_numpy(papers) for part, papers in parts.items()},
    )
