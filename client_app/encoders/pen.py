"""Pen trajectories: points at equal arc length with a pen-down flag.

Legend: B batch, P points, D token width, L tokens.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from client_app.encoders.encoder import TOKENS, Encoder, Positions, Tokens, uniform

STEP_SCALE = 5.0  # brings steps between neighbouring points to the range of the coordinates


class PenTokeniser(nn.Module):
    """Points (x, y, pen down) [B, 32, 3] -> 16 tokens [B, 16, D]: convolutions over points and the steps between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv1d(5, 48, 5, padding=2),
            nn.GroupNorm(4, 48),
            nn.GELU(),
            nn.Conv1d(48, width, 5, stride=2, padding=2),
        )
        self.positions = Positions(TOKENS, width)

    def forward(self, x_BP3: Tensor) -> Tokens:
        point_BP2 = x_BP3[..., :2]
        step_BP2 = STEP_SCALE * point_BP2.diff(dim=1, prepend=point_BP2[:, :1])
        return Tokens(self.positions(self.convolutions(torch.cat([x_BP3, step_BP2], -1).transpose(1, 2))))


def augment(x_BP3: Tensor, strength: float, generator: Generator) -> Tensor:
    """Another hand: rotation, stretch, shift and tremor."""
    batch = len(x_BP3)
    angle_B = strength * uniform(batch, -0.2, 0.2, generator)
    stretch_B12 = 1 + 0.1 * strength * torch.randn((batch, 1, 2), generator=generator)
    rotation_B22 = torch.stack(
        [torch.stack([angle_B.cos(), -angle_B.sin()], -1), torch.stack([angle_B.sin(), angle_B.cos()], -1)], dim=1
    )
    point_BP2 = (x_BP3[..., :2] @ rotation_B22) * stretch_B12
    point_BP2 = point_BP2 + 0.05 * strength * torch.randn((batch, 1, 2), generator=generator)
    point_BP2 = point_BP2 + 0.01 * strength * torch.randn(point_BP2.shape, generator=generator)
    return torch.cat([point_BP2, x_BP3[..., 2:]], -1)


ENCODER = Encoder("pen-conv-1", PenTokeniser, augment)
