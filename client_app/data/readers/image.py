"""Handwritten digits of two sources, 28x28 in 0..1, light strokes on dark.

MNIST's 10,000 test images come without writer ids, but the first 5,000 are from NIST's SD-3 (census employees) and the
last 5,000 from SD-1 (students): two populations of writers. Semeion's 1,593 images come without writer ids too; its rows
are in sheets, each with the digits 0 to 9 in ascending order. Stand-ins for people are therefore blocks of 500 rows
within a population (``sd3-0`` ... ``sd1-9``) and sheets (``semeion-0`` ... ``semeion-5``). Whether a writer of one
block also wrote in the next is not known.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client_app.data.corpus import Corpus, Reader, make_corpus
from client_app.data.packs import Array, ArrayFile, Arrays, read_arrays

MNIST = ArrayFile(
    path="digits/mnist_t10k.npz",
    origin="unixpickle/mnistlite at commit 7e77ce183b42 (the MNIST test images in their original order)",
    size=1_639_235,
    sha256="bb87fa7ccc1d97117ae4f2b54969392857de11a4d441c81a21cb46d98a851dc3",
    arrays={"image": Array("integer", (10_000, 28, 28), 0, 255), "label": Array("integer", (10_000,), 0, 9)},
)
SEMEION = ArrayFile(
    path="digits/semeion.npz",
    origin="claytonkb/basic_nn at commit ece06403dabc, or semeion.data of the UCI repository",
    size=39_093,
    sha256="02d2c6edd8adaf225c939815a55c818bfa901342bb2c73314e677589b9305361",
    arrays={"image": Array("integer", ("N", 16, 16), 0, 1), "label": Array("integer", ("N",), 0, 9)},
)
SIDE = 28
BOX = 20  # MNIST's digits are fitted into 20x20
BLOCK = 500
POPULATION = 5000


def build(data: Path) -> Corpus:
    """MNIST's test images, then Semeion's."""
    mnist, semeion = read_arrays(MNIST, data), read_arrays(SEMEION, data)
    x_NHW = torch.cat([torch.as_tensor(mnist["image"]).float() / 255, like_mnist(torch.as_tensor(semeion["image"]).float())])
    rows, sheets = range(len(mnist["label"])), _sheets(semeion)
    owners = [f"{'sd3' if row < POPULATION else 'sd1'}-{row % POPULATION // BLOCK}" for row in rows]
    owners += [f"semeion-{sheet}" for sheet in sheets]
    ids = [f"image/mnist-{row:05}" for row in rows] + [f"image/semeion-{row:04}" for row in range(len(sheets))]
    return make_corpus(x_NHW, np.concatenate([mnist["label"], semeion["label"]]), ids, owners)


def like_mnist(x_NHW: Tensor) -> Tensor:
    """Images [N, H, W] fitted into the centred 20x20 box of a 28x28 image."""
    box_N1HW = torch.nn.functional.interpolate(x_NHW.unsqueeze(1), (BOX, BOX), mode="bilinear", antialias=True)
    margin = (SIDE - BOX) // 2
    return torch.nn.functional.pad(box_N1HW, (margin,) * 4).squeeze(1).clamp(0, 1)


def _sheets(semeion: Arrays) -> NDArray[np.int64]:
    """The sheet of each row: labels ascend within a sheet."""
    sheet_N: NDArray[np.int64] = np.cumsum(np.diff(semeion["label"].astype(np.int64), prepend=0) < 0)
    return sheet_N


IMAGE = Reader("image", 1, build, (MNIST, SEMEION))
