"""Encoders by name, and which one a modality has by default."""

from __future__ import annotations

from collections.abc import Callable

from client_app.encoders import image, pen, picture, sound, window, word
from client_app.encoders.encoder import Encoder
from client_app.encoders.frozen import FROZEN, frozen_encoder
from client_app.encoders.series import SERIES, series_encoder
from client_app.encoders.table import TABLE, table_encoder
from concord.config import RunConfig
from concord.errors import ConcordError

ENCODERS: dict[str, Encoder] = {
    "image": image.ENCODER,
    "picture": picture.ENCODER,
    "sound": sound.ENCODER,
    "word": word.ENCODER,
    "pen": pen.ENCODER,
    "window": window.ENCODER,
}
BY_PREFIX: dict[str, Callable[[str], Encoder]] = {FROZEN: frozen_encoder, SERIES: series_encoder, TABLE: table_encoder}
DEFAULTS = {
    "speech": "sound",
    "tone": "sound",
    "image": "image",
    "sign": "image",
    "pen": "pen",
    "word": "word",
    "accelerometer": "window",
    "gyroscope": "window",
    "magnetometer": "window",
    "noto": "picture",
    "fx": "picture",
    "text": "word",
}


def encoder_name(config: RunConfig, modality: str) -> str:
    """The name of the encoder of a modality, as the run says; ConcordError C204 if there is none."""
    name = config.encoder_names.get(modality) or DEFAULTS.get(modality)
    if name is None:
        hint = f"name one with encoders='{modality}=NAME', of: {', '.join(ENCODERS)}"
        raise ConcordError("C204", f"no encoder for modality {modality!r}", hint)
    return name


def encoder_of(config: RunConfig, modality: str) -> Encoder:
    """The encoder of a modality; ConcordError C204 if there is none, C103 if a pretrained one cannot be used."""
    name = encoder_name(config, modality)
    for prefix, encoder_for in BY_PREFIX.items():
        if name.startswith(prefix):
            return encoder_for(name.removeprefix(prefix))
    if name not in ENCODERS:
        raise ConcordError("C204", f"encoders: there is no encoder {name!r}", f"choose one of: {', '.join(ENCODERS)}")
    return ENCODERS[name]
