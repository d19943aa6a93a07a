"""Families of pretrained encoders: what they read, and where their transformer layers are.

Any model of token ids that transformers can load is text; models of pictures and sound are of the families below. Paths are
of modules in the model, as transformers names them.
"""

from __future__ import annotations

from dataclasses import dataclass

from client_app.data.preparation.raw import Kind

AST = "audio-spectrogram-transformer"
TOWERS = {"siglip": "vision_model", "whisper": "encoder"}  # the part that is used of a model that has several, by its type


@dataclass(frozen=True)
class Family:
    """Encoders that are used in one way.

    Attributes:
        kind: of the samples that they read.
        layers: the transformer layers, for a model that takes no token embeddings itself.
        norm: the norm that follows them; empty: there is none.
        encoder: the module around them, where it does more than to call one after the other.
        prefix: tokens that stand for the whole sample, before those of its patches.
        pooled: whether what stands for the whole sample is the output of the model's own pooling.
    """

    kind: Kind
    layers: str = ""
    norm: str = ""
    encoder: str = ""
    prefix: int = 0
    pooled: bool = False


TEXT = Family("text")
FAMILIES = {
    "vit": Family("image", "layers", "layernorm", prefix=1),
    "dinov2": Family("image", "encoder.layer", "layernorm", prefix=1),
    "siglip_vision_model": Family("image", "encoder.layers", "post_layernorm", pooled=True),
    "wav2vec2": Family("audio", "encoder.layers", encoder="encoder"),
    "hubert": Family("audio", "encoder.layers", encoder="encoder"),
    "whisper": Family("audio", "layers", "layer_norm"),
    AST: Family("audio", "layers", "layernorm", prefix=2),
}


def family_of(model_type: str) -> Family:
    """The family of a model, by the type in its configuration; the one of text, where no other is known."""
    return FAMILIES.get(model_type, TEXT)
