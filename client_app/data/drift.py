"""Drift of semantics: the same nodes described by features that mean something else at each party.

Legend: N nodes, F features, G features after an encoder.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.fft import dct
from torch import Tensor

from concord.seeding import generator_for

SMALLEST, LARGEST = 64, 512  # features that an encoder of a party gives
ROUNDS = 3  # of signs and cosine transform in a rotation


def rotate(x_NF: Tensor, *purpose: str | int) -> Tensor:
    """A random rotation of the features: random signs and an orthonormal cosine transform, three times; all cosines stay."""
    generator = generator_for(*purpose)
    turned = x_NF.numpy()
    for _ in range(ROUNDS):
        sign_F = torch.randint(2, (x_NF.shape[1],), generator=generator).numpy() * 2.0 - 1.0
        turned = dct(turned * sign_F, norm="ortho", axis=1)
    return torch.from_numpy(np.asarray(turned)).to(x_NF.dtype)


def encode(x_NF: Tensor, *purpose: str | int) -> Tensor:
    """The features as a random frozen encoder of one layer sees them, of a width that the purpose draws too.

    Scaled so that the expected squared norm of a row stays what it was.
    """
    generator = generator_for(*purpose)
    features = x_NF.shape[1]
    low, high = min(max(features // 2, SMALLEST), LARGEST // 2), min(max(2 * features, SMALLEST), LARGEST)
    width = int(torch.randint(low, high + 1, (), generator=generator))
    weight_FG = torch.randn((features, width), generator=generator) * (2 / width) ** 0.5
    encoded_NG: Tensor = (x_NF @ weight_FG).relu()
    return encoded_NG
