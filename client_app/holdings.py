"""What data a node or an agent has, as it tells others."""

from __future__ import annotations

from collections.abc import Mapping

from client_app.encoders import encoder_of
from concord.config import RunConfig
from concord.samples import NO_LABEL, Samples
from concord.wire.v1 import federation_pb2 as pb


def holdings_of(config: RunConfig, train: Mapping[str, Samples]) -> list[pb.Holding]:
    """One entry for each modality of the training samples; `config` names the encoders."""
    return [
        pb.Holding(
            modality=modality,
            examples=len(samples),
            labelled=int((samples.y != NO_LABEL).sum()),
            labels=sorted(set(samples.y.tolist()) - {NO_LABEL}),
            encoder=encoder_of(config, modality).identity,
        )
        for modality, samples in train.items()
    ]
