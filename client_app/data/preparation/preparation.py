"""How a sample becomes the input of an encoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from client_app.data.preparation.raw import Kind


@dataclass(frozen=True)
class Preparation:
    """What an encoder takes.

    Attributes:
        kind: of the samples, see `client_app.data.preparation.raw`.
        prepare: from one sample of that kind to an input of a fixed shape.
    """

    kind: Kind
    prepare: Callable[[Any], Tensor]
