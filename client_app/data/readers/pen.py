"""Pen trajectories of digits: UCI pendigits in its original, unresampled form, 44 writers.

A trajectory becomes 32 points at equal distances along its path, lifts of the pen included: x, y and whether the pen
is down. The longer side of its bounding box spans -1..1, y points up. The owner is the writer (``w01`` ... ``w114``).

Shapes: T points of all trajectories, N trajectories, P points of a resampled one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client_app.data.corpus import Corpus, Reader, make_corpus
from client_app.data.packs import Array, ArrayFile, read_arrays

POINTS = 32

PENDIGITS = ArrayFile(
    path="digits/pendigits.npz",
    origin="choucavalier/pendigits-hmm at commit 03382e145794, data/pendigits-train and -test (UCI pendigits-orig)",
    size=1_452_383,
    sha256="b6483e4826b6862ae8e903883052f8cebfdaa5af92214e6c1d9ae9cb816d6942",
    arrays={
        "points": Array("integer", ("T", 3), 0, 32767),
        "offset": Array("integer", ("N+1",)),
        "label": Array("integer", ("N",), 0, 9),
        "writer": Array("integer", ("N",), 1, 114),
    },
    rows="points",
)


def build(data: Path) -> Corpus:
    """All trajectories, resampled."""
    pack = read_arrays(PENDIGITS, data)
    owners = [f"w{writer:02}" for writer in pack["writer"].tolist()]
    ids = [f"pen/{owner}-{row:05}" for row, owner in enumerate(owners)]
    return make_corpus(resample(pack["points"], pack["offset"].astype(np.int64)), pack["label"], ids, owners)


def resample(points_T3: NDArray[np.integer], offset: NDArray[np.int64]) -> NDArray[np.float32]:
    """Trajectories [N, P, 3] of x, y and pen-down, from raw points of x, y and stroke; `offset` [N+1] cuts them apart."""
    xy_T2 = points_T3[:, :2].astype(np.float64)
    first_N, last_N = offset[:-1], offset[1:] - 1
    step_T = np.hypot(*np.diff(xy_T2, axis=0, prepend=xy_T2[:1]).T)
    step_T[first_N[1:]] = 1.0  # a gap between trajectories, so that interpolation cannot mistake one's end for another's start
    path_T = np.cumsum(step_T)
    share_P = np.linspace(0, 1, POINTS)
    at_NP = path_T[first_N, None] * (1 - share_P) + path_T[last_N, None] * share_P
    xy_NP2 = np.stack([np.interp(at_NP, path_T, xy_T2[:, axis]) for axis in (0, 1)], axis=-1)
    low_N2, high_N2 = np.minimum.reduceat(xy_T2, first_N), np.maximum.reduceat(xy_T2, first_N)
    half_N = np.maximum((high_N2 - low_N2).max(1) / 2, 0.5)  # a dot stays a dot
    xy_NP2 = (xy_NP2 - ((low_N2 + high_N2) / 2)[:, None]) / half_N[:, None, None]
    end_NP = np.clip(np.searchsorted(path_T, at_NP), first_N[:, None], last_N[:, None])
    start_NP = np.maximum(end_NP - 1, first_N[:, None])
    down_NP = points_T3[end_NP, 2] == points_T3[start_NP, 2]
    return np.concatenate([xy_NP2, down_NP[..., None]], axis=-1).astype(np.float32)


PEN = Reader("pen", 1, build, (PENDIGITS,))
