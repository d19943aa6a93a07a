"""Characters of eight alphabets as drawn images and as the pen's path: Omniglot (Lake, Salakhutdinov, Tenenbaum 2015).

Each of 242 characters was drawn once by each of 20 drawers; image and path of a drawing have the same id. An image of
52x52 bits becomes 26x26 in 0..1, each pixel the mean of 2x2, light strokes on dark. A path is resampled as those of
`readers.pen`: 32 points of x, y and whether the pen is down, y pointing up.

Drawers are numbered within an alphabet: number 3 of one alphabet may be another person than number 3 of the next, and
the same as its number 7. So an unseen drawer is surely unseen with that alphabet, not with every other.

Shapes: N drawings, T points of all drawings.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from client_app.data.corpus import Corpus, Reader, make_corpus
from client_app.data.packs import Array, ArrayFile, Arrays, read_arrays
from client_app.data.readers.pen import resample

ALPHABETS = ("Balinese", "Early_Aramaic", "Greek", "Japanese_(katakana)", "Korean", "Latin", "Sanskrit", "Tagalog")
CHARACTERS = (24, 22, 24, 47, 40, 26, 42, 17)  # of each alphabet; classes are numbered through
SIDE, SHRINK = 52, 2

OMNIGLOT = ArrayFile(
    path="omniglot/omniglot_small.npz",
    origin="brendenlake/omniglot at commit 057f034baf2e, python/{images,strokes}_background_small{1,2}.zip",
    size=1_194_615,
    sha256="f5f85ed48d4ad79351c7ff33182bbe0248928fdd53cc88710d86979447f82223",
    arrays={
        "image": Array("integer", ("N", SIDE, 7), 0, 255),
        "points": Array("integer", ("T", 2), 0, 255),
        "stroke": Array("integer", ("T",), 0, 255),
        "offset": Array("integer", ("N+1",)),
        "char": Array("integer", ("N",), 0, sum(CHARACTERS) - 1),
        "drawer": Array("integer", ("N",), 1, 20),
        "alphabets": Array("text", (len(ALPHABETS),), words=ALPHABETS),
    },
    rows="points",
)


def build_images(data: Path) -> Corpus:
    """All drawings as images [N, 26, 26]."""
    pack = read_arrays(OMNIGLOT, data)
    bits_NHW = torch.as_tensor(np.unpackbits(pack["image"].astype(np.uint8), axis=2)[:, :, :SIDE]).float()
    return _corpus(pack, F.avg_pool2d(bits_NHW[:, None], SHRINK)[:, 0].numpy())


def build_paths(data: Path) -> Corpus:
    """All drawings as paths [N, 32, 3]."""
    pack = read_arrays(OMNIGLOT, data)
    x_T, down_T = pack["points"].astype(np.int64).T  # the pack has y as in an image
    points_T3 = np.stack([x_T, -down_T, pack["stroke"].astype(np.int64)], axis=1)
    return _corpus(pack, resample(points_T3, pack["offset"].astype(np.int64)))


def _corpus(pack: Arrays, x: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Corpus:
    drawn = zip(pack["char"].tolist(), pack["drawer"].tolist(), strict=True)
    ids = [f"strokes/c{character:03}-d{drawer:02}" for character, drawer in drawn]
    return make_corpus(x, pack["char"], ids, [f"drawer-{drawer:02}" for drawer in pack["drawer"].tolist()])


STROKE_IMAGE = Reader("stroke-image", 1, build_images, (OMNIGLOT,))
STROKE_PATH = Reader("stroke-path", 1, build_paths, (OMNIGLOT,))
