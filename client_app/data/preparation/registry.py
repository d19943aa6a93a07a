"""Preparations by the name of the encoder that takes what they make."""

from __future__ import annotations

from collections.abc import Callable

from client_app.data.preparation import image, picture, sound, word
from client_app.data.preparation.frozen import frozen_preparation
from client_app.data.preparation.preparation import Preparation
from client_app.data.preparation.series import series_preparation
from client_app.data.preparation.table import table_preparation
from client_app.encoders.frozen import FROZEN
from client_app.encoders.series import SERIES
from client_app.encoders.table import TABLE
from concord.errors import ConcordError

PREPARATIONS: dict[str, Preparation] = {
    "image": Preparation("image", image.prepare),
    "picture": Preparation("image", picture.prepare),
    "sound": Preparation("audio", sound.prepare),
    "word": Preparation("text", word.prepare),
}
BY_PREFIX: dict[str, Callable[[str], Preparation]] = {
    FROZEN: frozen_preparation,
    SERIES: series_preparation,
    TABLE: table_preparation,
}


def preparation_of(encoder: str) -> Preparation:
    """The preparation for an encoder; ConcordError C204 if none is known, C103 if a pretrained one cannot be used."""
    for prefix, preparation_for in BY_PREFIX.items():
        if encoder.startswith(prefix):
            return preparation_for(encoder.removeprefix(prefix))
    if encoder not in PREPARATIONS:
        raise ConcordError(
            "C204", f"samples cannot be prepared for encoder {encoder!r}", f"choose one of: {', '.join(PREPARATIONS)}"
        )
    return PREPARATIONS[encoder]
