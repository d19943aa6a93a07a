"""All samples of one modality together with the person, language or site that each came from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client_app.data.packs import PackFile
from concord.samples import Samples


@dataclass(frozen=True)
class Corpus:
    """N samples of one modality.

    Attributes:
        samples: features, labels and ids.
        owners: who a sample comes from, the unit that is never split between nodes.
        official_test: shape [N], bool: samples that the pack's own protocol keeps for testing; all false where it has none.
    """

    samples: Samples
    owners: tuple[str, ...]
    official_test: Tensor

    def __post_init__(self) -> None:
        if not len(self.samples) == len(self.owners) == len(self.official_test):
            raise ValueError(f"{len(self.samples)} samples, {len(self.owners)} owners, {len(self.official_test)} flags")


@dataclass(frozen=True)
class Reader:
    """How a modality is read.

    Attributes:
        name: names the cache file.
        version: to be raised whenever `build` gives other features; part of the cache key.
        files: the pack files it reads, relative to the data folder.
        build: from the data folder to the corpus; slow, its result is cached.
        salt: what else the result depends on, for example the version of a package that the data comes with.
    """

    name: str
    version: int
    build: Callable[[Path], Corpus]
    files: tuple[PackFile, ...] = ()
    salt: str = ""


def make_corpus(
    x: Tensor | NDArray[np.float32], y: Sequence[int] | NDArray[np.integer], ids: Sequence[str], owners: Sequence[str]
) -> Corpus:
    """A corpus without an official test split."""
    y_N = torch.as_tensor(np.asarray(y, dtype=np.int64))
    return Corpus(Samples(torch.as_tensor(x), y_N, tuple(ids)), tuple(owners), torch.zeros(len(y_N), dtype=torch.bool))
