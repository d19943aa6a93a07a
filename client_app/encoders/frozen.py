"""What a frozen pretrained encoder gave for samples, see `client_app.pretrained.frozen`: only a projection of it is trained.

Legend: B batch, L tokens, E width of the pretrained encoder, D token width.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Generator, Tensor, nn

from client_app.encoders.encoder import Encoder, Positions, Tokens
from client_app.pretrained.folder import find_pretrained
from client_app.pretrained.tokens import TOKENS, VERSION

FROZEN = "frozen:"  # before the name or path of the pretrained encoder
NOISE = 0.3  # deviation of the strongest view's noise, in root mean squares of a token
DROP = 0.15  # share of tokens that the strongest view leaves out


class Projector(nn.Module):
    """Tokens of a frozen encoder [B, L, E] -> [B, L, D]: normalised, one linear layer, positions; zero tokens are masked."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(inputs)
        self.linear = nn.Linear(inputs, width)
        self.positions = Positions(TOKENS, width)

    def forward(self, x_BLE: Tensor) -> Tokens:
        mask_BL = x_BLE.any(-1)
        mask_BL[:, 0] = True  # a sample of which nothing is left still needs one token
        return Tokens(self.positions(self.linear(self.norm(x_BLE.float())).transpose(1, 2)), mask_BL)


def augment(x_BLE: Tensor, strength: float, generator: Generator) -> Tensor:
    """Noise in proportion to each token, and some tokens lost, but for the first, which may stand for the whole sample.

    How strong hardly matters: MiniLM on names of emoji, 240 labels of 8 groups, three seeds, gave 0.70 for noise 0 to 0.9.
    """
    x_float_BLE = x_BLE.float()
    scale_BL1 = x_float_BLE.square().mean(-1, keepdim=True).sqrt()
    noise_BLE = NOISE * strength * scale_BL1 * torch.randn(x_BLE.shape, generator=generator)
    dropped_BL = torch.rand(x_BLE.shape[:2], generator=generator) < DROP * strength
    dropped_BL[:, 0] = False
    return (x_float_BLE + noise_BLE).masked_fill(dropped_BL[..., None], 0.0).to(x_BLE.dtype)


def frozen_encoder(name: str) -> Encoder:
    """The encoder of what the pretrained one of that name or path gives; ConcordError C103 if it cannot be used."""
    pretrained = find_pretrained(name)
    return Encoder(f"{VERSION} {name} {pretrained.digest[:12]}", partial(Projector, pretrained.width), augment)
