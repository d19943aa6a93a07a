"""How a sample becomes the input of an encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from client_app.data.preparation.raw import Kind


@dataclass(frozen=True)
class Preparation:
    """What an encoder takes.

    Attributes:
        kind: of the samples, see `client_app.data.preparation.raw`.
        prepare: from one sample of that kind to an input of a fixed shape.
        together: the same for many samples, where that is faster than one by one.
    """

    kind: Kind
    prepare: Callable[[Any], Tensor]
    together: Callable[[Sequence[Any]], Tensor] | None = None

    def prepare_all(self, samples: Sequence[Any]) -> Tensor:
        """Inputs [N, ...] of N samples, at least one."""
        return self.together(samples) if self.together else torch.stack([self.prepare(sample) for sample in samples])
