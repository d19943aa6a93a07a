"""Which modalities nodes lack at a rate of missing ones."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from concord.seeding import derive_seed

HOLDERS = 2  # nodes that hold a modality at the least, however many are missing: one alone would have no one to learn with


def drop_modalities(could: Mapping[str, tuple[str, ...]], missing: float, seed: int, suite: str) -> dict[str, tuple[str, ...]]:
    """Per node the modalities that it holds, of those that it could.

    A node and modality have a number in [0, 1), and what has a smaller one than the rate is missing: what is missing at
    one rate is missing at a higher one. Whatever the rate, a node keeps its best modality, and a modality its two best
    nodes; so at high rates somewhat less is missing than the rate says.
    """
    luck = {
        (name, m): draw
        for name, modalities in could.items()
        for m, draw in zip(
            modalities, np.random.default_rng(derive_seed(seed, suite, "missing", name)).random(len(modalities)), strict=True
        )
    }
    kept = {max((key for key in luck if key[0] == name), key=luck.__getitem__) for name in could}
    for m in {m for modalities in could.values() for m in modalities}:
        kept |= set(sorted((key for key in luck if key[1] == m), key=luck.__getitem__)[-HOLDERS:])
    return {
        name: tuple(m for m in modalities if luck[name, m] >= missing or (name, m) in kept) for name, modalities in could.items()
    }
