"""Built-in encoders by modality."""

from __future__ import annotations

from client_app.encoders import image, pen, sound, window, word
from client_app.encoders.encoder import Encoder
from concord.errors import ConcordError

ENCODERS: dict[str, Encoder] = {
    "speech": sound.ENCODER,
    "tone": sound.ENCODER,
    "image": image.ENCODER,
    "sign": image.ENCODER,
    "pen": pen.ENCODER,
    "word": word.ENCODER,
    "accelerometer": window.ENCODER,
    "gyroscope": window.ENCODER,
    "magnetometer": window.ENCODER,
}


def encoder_of(modality: str) -> Encoder:
    """The encoder of a modality; ConcordError C204 if there is none."""
    if modality not in ENCODERS:
        raise ConcordError("C204", f"no encoder for modality {modality!r}", f"choose one of: {', '.join(ENCODERS)}")
    return ENCODERS[modality]
