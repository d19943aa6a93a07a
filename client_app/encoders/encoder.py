"""What a modality brings to the model: a tokeniser and random views of its samples.

Legend: B batch, L tokens, D token width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn

TOKENS = 16
POSITION_SCALE = 0.5  # beside tokens of unit variance; smaller ones leave a bag of tokens


class Tokens(NamedTuple):
    """Tokens [B, L, D] and which of them are real [B, L] (None: all)."""

    embeds_BLD: Tensor
    mask_BL: Tensor | None = None


@dataclass(frozen=True)
class Encoder:
    """A built-in encoder.

    Attributes:
        identity: name and version; the server refuses a node whose encoder of a modality is another.
        build: makes the tokeniser, a module from inputs [B, ...] to `Tokens`, for a token width.
        augment: (inputs [B, ...], strength in 0..1, generator) -> a random view of the same shape.
    """

    identity: str
    build: Callable[[int], nn.Module]
    augment: Callable[[Tensor, float, Generator], Tensor]


class Positions(nn.Module):
    """LayerNorm and learned positions, the last step of every built-in tokeniser."""

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.position = nn.Parameter(POSITION_SCALE * torch.randn(tokens, width))

    def forward(self, hidden_BDL: Tensor) -> Tensor:
        embeds_BLD: Tensor = self.norm(hidden_BDL.transpose(1, 2))
        return embeds_BLD + self.position[: embeds_BLD.shape[1]]


def convolutions_over_time(channels: int, width: int) -> nn.Sequential:
    """From channels [B, K, T] to [B, D, T / 8]: three strided convolutions."""
    return nn.Sequential(
        nn.Conv1d(channels, 48, 5, stride=2, padding=2),
        nn.GroupNorm(4, 48),
        nn.GELU(),
        nn.Conv1d(48, 48, 5, stride=2, padding=2),
        nn.GroupNorm(4, 48),
        nn.GELU(),
        nn.Conv1d(48, width, 5, stride=2, padding=2),
    )


def convolutions_to_grid(colours: int, hidden: int, width: int) -> nn.Sequential:
    """From pictures [B, C, H, W] of 25..32 pixels a side to a 4 x 4 grid [B, D, 16]: three strided convolutions."""
    return nn.Sequential(
        nn.Conv2d(colours, hidden, 5, stride=2, padding=2),
        nn.GELU(),
        nn.Conv2d(hidden, 2 * hidden, 5, stride=2, padding=2),
        nn.GroupNorm(4, 2 * hidden),
        nn.GELU(),
        nn.Conv2d(2 * hidden, width, 3, stride=2, padding=1),
        nn.Flatten(2),
    )


def uniform(shape: int | tuple[int, ...], low: float, high: float, generator: Generator) -> Tensor:
    """Uniform numbers in [low, high)."""
    size = (shape,) if isinstance(shape, int) else shape
    return low + (high - low) * torch.rand(size, generator=generator)


def small_movement(batch: int, strength: float, generator: Generator) -> Tensor:
    """Affine maps [B, 2, 3] of another hand or camera: small rotation, scale, shear and shift."""
    angle_B = strength * uniform(batch, -0.15, 0.15, generator)
    scale_B = 1 + strength * uniform(batch, -0.1, 0.1, generator)
    shear_B = strength * uniform(batch, -0.1, 0.1, generator)
    shift_B2 = strength * uniform((batch, 2), -0.1, 0.1, generator)
    row_x_B3 = torch.stack([angle_B.cos() * scale_B, shear_B - angle_B.sin() * scale_B, shift_B2[:, 0]], -1)
    row_y_B3 = torch.stack([angle_B.sin() * scale_B, angle_B.cos() * scale_B, shift_B2[:, 1]], -1)
    return torch.stack([row_x_B3, row_y_B3], 1)


def affine_view(x_BCHW: Tensor, theta_B23: Tensor) -> Tensor:
    """Bilinear resampling of images under one affine map each."""
    grid = nn.functional.affine_grid(theta_B23, list(x_BCHW.shape), align_corners=False)
    return nn.functional.grid_sample(x_BCHW, grid, padding_mode="border", align_corners=False)
