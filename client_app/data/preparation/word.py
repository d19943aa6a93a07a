"""Words for the encoder of characters."""

from __future__ import annotations

from torch import Tensor

from client_app.data.preparation.characters import encode


def prepare(word: str) -> Tensor:
    """Codes [24] of the first characters."""
    return encode([word])[0]
