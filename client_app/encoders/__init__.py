"""Tokenisers: one file a modality, each with its augmentation. `ENCODERS` is the registry."""

from client_app.encoders.encoder import Encoder, Tokens
from client_app.encoders.registry import ENCODERS, encoder_of

__all__ = ["ENCODERS", "Encoder", "Tokens", "encoder_of"]
