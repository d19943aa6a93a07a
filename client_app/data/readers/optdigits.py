"""Handwritten digits of UCI optdigits, the 1,797 images of 8x8 that come with scikit-learn, as 28x28 in 0..1.

Writer ids are not given. Each writer filled in the same form, which begins with the ten digits in order, twice: owners
are the forms in row order (``form-0`` ... ``form-12``), a close stand-in for the 13 writers.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import sklearn
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from client_app.data.corpus import Corpus, Reader, make_corpus
from client_app.data.readers.image import SIDE

LEVELS = 16
FORM_BEGINS = tuple(range(10)) * 2
SHORTEST_FORM = 100


def build(_: Path) -> Corpus:
    """All images; they come with a dependency, so the data folder does not matter."""
    images, label = load_digits(return_X_y=True)
    x_N1HW = torch.as_tensor(images, dtype=torch.float32).reshape(-1, 1, 8, 8) / LEVELS
    x_NHW = torch.nn.functional.interpolate(x_N1HW, (SIDE, SIDE), mode="bilinear").squeeze(1)
    ids = [f"image/optdigits-{row:04}" for row in range(len(label))]
    return make_corpus(x_NHW, label, ids, [f"form-{form}" for form in forms(label)])


def forms(label: NDArray[np.integer]) -> NDArray[np.int64]:
    """The form that each row is from."""
    begins = [0]
    for row in range(len(label) - len(FORM_BEGINS)):
        if row - begins[-1] >= SHORTEST_FORM and tuple(label[row : row + len(FORM_BEGINS)].tolist()) == FORM_BEGINS:
            begins.append(row)
    return np.searchsorted(begins, np.arange(len(label)), side="right") - 1


OPTDIGITS = Reader("optdigits", 1, build, salt=sklearn.__version__)
