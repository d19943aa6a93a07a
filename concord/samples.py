"""Samples of one modality, as tensors that a tokeniser accepts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

NO_LABEL = -1
FUSED = "fused"  # in evaluations the place of a modality: the prediction from all modalities that a node holds


@dataclass(frozen=True)
class Samples:
    """N samples of one modality.

    Attributes:
        x: inputs, shape [N, ...], float32, float16 (tokens of a frozen encoder) or int64 (character codes).
        y: class of each sample, shape [N], int64; `NO_LABEL` where it is not known.
        ids: a name for each sample that is unique in its suite, for example ``speech/7_jackson_3``. Samples of different
            modalities with the same id are one instance: a pair.
    """

    x: Tensor
    y: Tensor
    ids: tuple[str, ...]

    def __post_init__(self) -> None:
        if not len(self.x) == len(self.y) == len(self.ids):
            raise ValueError(f"{len(self.x)} inputs, {len(self.y)} labels and {len(self.ids)} ids")

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, index: Sequence[int] | Tensor) -> Samples:
        """The samples at `index`, in that order."""
        index_N = torch.as_tensor(index, dtype=torch.long)
        return Samples(self.x[index_N], self.y[index_N], tuple(self.ids[i] for i in index_N.tolist()))

    def without_labels(self, hidden: Tensor | None = None) -> Samples:
        """The same samples with the labels where `hidden` [N] is true (all, if None) set to `NO_LABEL`."""
        y_N = torch.full_like(self.y, NO_LABEL) if hidden is None else self.y.masked_fill(hidden, NO_LABEL)
        return Samples(self.x, y_N, self.ids)


def concatenate(parts: Sequence[Samples]) -> Samples:
    """All samples of `parts`, in order."""
    ids = tuple(name for part in parts for name in part.ids)
    return Samples(torch.cat([p.x for p in parts]), torch.cat([p.y for p in parts]), ids)
