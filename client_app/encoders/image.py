"""Grey images (handwriting, photographs of hand signs).

Legend: B batch, H height, W width in pixels, D token width, L tokens.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from client_app.encoders.encoder import TOKENS, Encoder, Positions, Tokens, affine_view, convolutions_to_grid, small_movement


class ImageTokeniser(nn.Module):
    """Images [B, H, W] of 25..32 pixels a side -> 16 tokens [B, 16, D]: three strided convolutions to a 4 x 4 grid.

    Each image is standardised first, so that brightness and contrast do not matter.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolutions = convolutions_to_grid(1, 24, width)
        self.positions = Positions(TOKENS, width)

    def forward(self, x_BHW: Tensor) -> Tokens:
        mean_B11 = x_BHW.mean((1, 2), keepdim=True)
        deviation_B11 = x_BHW.std((1, 2), keepdim=True).clamp_min(1e-3)
        return Tokens(self.positions(self.convolutions(((x_BHW - mean_B11) / deviation_B11)[:, None])))


def augment(x_BHW: Tensor, strength: float, generator: Generator) -> Tensor:
    """Another hand and camera: small rotation, scale, shear and shift, pixel noise."""
    view_BHW = affine_view(x_BHW[:, None], small_movement(len(x_BHW), strength, generator))[:, 0]
    return view_BHW + 0.05 * strength * torch.randn(view_BHW.shape, generator=generator)


ENCODER = Encoder("image-conv-1", ImageTokeniser, augment)
