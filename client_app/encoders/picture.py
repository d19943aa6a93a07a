"""Small colour pictures.

Legend: B batch, C colours, H height, W width in pixels, D token width, L tokens.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from client_app.encoders.encoder import TOKENS, Encoder, Positions, Tokens, affine_view, convolutions_to_grid, small_movement

COLOURS = 3
BRIGHTNESS, TINT, NOISE = 0.2, 0.1, 0.03  # deviations of the strongest views, of values in 0..1


class PictureTokeniser(nn.Module):
    """Pictures [B, 3, H, W] of 25..32 pixels a side, in 0..1 -> 16 tokens [B, 16, D]: three convolutions to a 4 x 4 grid.

    Pictures are not standardised one by one: which colours there are, and how many, tells them apart.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolutions = convolutions_to_grid(COLOURS, 32, width)
        self.positions = Positions(TOKENS, width)

    def forward(self, x_BCHW: Tensor) -> Tokens:
        return Tokens(self.positions(self.convolutions(2 * x_BCHW - 1)))


def augment(x_BCHW: Tensor, strength: float, generator: Generator) -> Tensor:
    """Another drawing of the same thing: small rotation, scale, shear and shift, other light and tint, pixel noise."""
    batch = len(x_BCHW)
    view_BCHW = affine_view(x_BCHW, small_movement(batch, strength, generator))
    light_B111 = BRIGHTNESS * strength * torch.randn((batch, 1, 1, 1), generator=generator)
    tint_BC11 = TINT * strength * torch.randn((batch, COLOURS, 1, 1), generator=generator)
    noise_BCHW = NOISE * strength * torch.randn(view_BCHW.shape, generator=generator)
    return view_BCHW * (1 + light_B111 + tint_BC11) + noise_BCHW


ENCODER = Encoder("picture-conv-1", PictureTokeniser, augment)
