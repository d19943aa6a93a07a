"""Matrices from seeds and masks, for the tests of pure functions."""

from __future__ import annotations

import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

examples = settings(max_examples=30, deadline=None, derandomize=True)
seeds = st.integers(0, 2**31)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def rotation(dim: int, seed: int) -> Tensor:
    return torch.linalg.qr(normal(dim, dim, seed=seed))[0]


def mask(*present: int, of: int) -> Tensor:
    mask_C = torch.zeros(of, dtype=torch.bool)
    mask_C[list(present)] = True
    return mask_C


def everyone(concepts: int) -> Tensor:
    return torch.ones(concepts, dtype=torch.bool)
