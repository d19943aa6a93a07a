"""Photographs of hand signs for the digits (Mavi 2020, arXiv:2011.08927): 32x32 grey in 0..1.

Who is on a photograph is not told, but the camera's file numbers are: each student showed 0 to 9 in order. Owners are
12 blocks of about equal size in camera order (``block-0`` ... ``block-11``), cut only where a student is known to
begin, that is where a 0 follows a 9.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from client_app.data.corpus import Corpus, Reader, make_corpus
from client_app.data.packs import Array, ArrayFile, read_arrays

BLOCKS = 12
SHRINK = 2

SIGN_DIGITS = ArrayFile(
    path="digits/sign_digits64.npz",
    origin="ardamavi/Sign-Language-Digits-Dataset at commit 4b09433ef9d5, resized to 64x64 grey",
    size=6_309_025,
    sha256="72e5612fd20df72b082242e1ded4e591ec4f2b40e172cfb98fa47515a4947f71",
    arrays={
        "image": Array("integer", ("N", 64, 64), 0, 255),
        "label": Array("integer", ("N",), 0, 9),
        "file_no": Array("integer", ("N",)),
    },
)


def build(data: Path) -> Corpus:
    """All photographs, each pixel the mean of 2x2."""
    pack = read_arrays(SIGN_DIGITS, data)
    x_N1HW = torch.as_tensor(pack["image"]).float().unsqueeze(1) / 255
    x_NHW = torch.nn.functional.avg_pool2d(x_N1HW, SHRINK).squeeze(1)
    owners = [f"block-{block}" for block in camera_blocks(pack["file_no"], pack["label"])]
    return make_corpus(x_NHW, pack["label"], [f"sign/{number}" for number in pack["file_no"].tolist()], owners)


def camera_blocks(file_no: NDArray[np.integer], label: NDArray[np.integer]) -> NDArray[np.int64]:
    """The block of each photograph."""
    order = np.argsort(file_no, kind="stable")
    in_order = label[order]
    begins = np.flatnonzero((in_order[1:] == 0) & (in_order[:-1] == 9)) + 1
    wanted = np.arange(1, BLOCKS) * len(order) / BLOCKS
    cuts = [begins[np.argmin(np.abs(begins - cut))] for cut in wanted] if begins.size else []
    block = np.empty(len(order), np.int64)
    block[order] = np.searchsorted(np.asarray(cuts), np.arange(len(order)), side="right")
    return block


SIGN = Reader("sign", 1, build, (SIGN_DIGITS,))
