"""What data a node or an agent has, as it tells others."""

from __future__ import annotations

from collections.abc import Mapping

from client_app.encoders import encoder_of
from concord.samples import NO_LABEL, Samples
from concord.wire.v1 import federation_pb2 as pb


def holdings_of(train: Mapping[str, Samples]) -> list[pb.Holding]:
    """One entry for each modality of the training samples."""
    return [
        pb.Holding(
            modality=modality,
            examples=len(samples),
            labelled=int((samples.y != NO_LABEL).sum()),
            labels=sorted(set(samples.y.tolist()) - {NO_LABEL}),
            encoder=encoder_of(modality).identity,
        )
        for modality, samples in train.items()
    ]
