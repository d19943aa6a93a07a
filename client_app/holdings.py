"""What data a node or an agent has, as it tells others."""

from __future__ import annotations

from collections.abc import Mapping

from client_app.encoders import encoder_of
from client_app.pretrained.folder import find_pretrained
from client_app.trunk import TINY
from concord.config import RunConfig
from concord.samples import NO_LABEL, Samples
from concord.wire.v1 import federation_pb2 as pb


def identity_of(config: RunConfig, modality: str) -> str:
    """What all parties need alike to read a modality: its encoder, and a pretrained trunk, whose weights do not travel.

    Raises:
        ConcordError: C204 where there is no encoder, C103 where a pretrained model cannot be used.
    """
    encoder = encoder_of(config, modality).identity
    if config.model.trunk == TINY:
        return encoder
    return f"{encoder}, trunk {config.model.trunk} {find_pretrained(config.model.trunk).digest[:12]}"


def holdings_of(config: RunConfig, train: Mapping[str, Samples]) -> list[pb.Holding]:
    """One entry for each modality of the training samples; `config` names the encoders."""
    return [
        pb.Holding(
            modality=modality,
            examples=len(samples),
            labelled=int((samples.y != NO_LABEL).sum()),
            labels=sorted(set(samples.y.tolist()) - {NO_LABEL}),
            encoder=identity_of(config, modality),
        )
        for modality, samples in train.items()
    ]
