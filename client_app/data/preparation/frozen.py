"""Samples for a frozen pretrained encoder: what it gives for them, kept on this machine's disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from client_app.data.preparation.preparation import Preparation
from client_app.pretrained.folder import find_pretrained


def frozen_preparation(name: str) -> Preparation:
    """The preparation for the pretrained encoder of that name or path; ConcordError C103 if it cannot be used."""

    def prepare_all(samples: Sequence[Any]) -> Tensor:
        from client_app.pretrained.frozen import frozen_tokens  # not needed to tell the kind

        return frozen_tokens(name, samples)

    def prepare(sample: Any) -> Tensor:
        return prepare_all([sample])[0]

    return Preparation(find_pretrained(name).family.kind, prepare, prepare_all)
