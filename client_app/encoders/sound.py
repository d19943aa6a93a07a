"""Sound as log-mel frames (speech, telephone tones).

Legend: B batch, T frames, F mel bands, D token width, L tokens.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from client_app.encoders.encoder import TOKENS, Encoder, Positions, Tokens, affine_view, uniform

BANDS = 40
SPECAUGMENT_FROM = 0.5  # strength from which bands and frames are masked


class SoundTokeniser(nn.Module):
    """Log-mel frames [B, 64, 40] -> 16 tokens [B, 16, D]: two strided convolutions over time."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv1d(BANDS, 64, 5, stride=2, padding=2),
            nn.GroupNorm(4, 64),
            nn.GELU(),
            nn.Conv1d(64, width, 5, stride=2, padding=2),
        )
        self.positions = Positions(TOKENS, width)

    def forward(self, x_BTF: Tensor) -> Tokens:
        return Tokens(self.positions(self.convolutions(x_BTF.transpose(1, 2))))


def augment(x_BTF: Tensor, strength: float, generator: Generator) -> Tensor:
    """Another voice, tempo, channel and line: warped bands and frames, tilt, noise, SpecAugment (Park et al. 2019)."""
    batch, frames, bands = x_BTF.shape
    zero_B = torch.zeros(batch)
    band_scale_B = 1 + strength * uniform(batch, -0.15, 0.15, generator)
    band_shift_B = strength * uniform(batch, -0.06, 0.06, generator)
    time_scale_B = 1 + strength * uniform(batch, -0.18, 0.18, generator)
    time_shift_B = strength * uniform(batch, -0.12, 0.12, generator)
    theta_B23 = torch.stack(
        [torch.stack([band_scale_B, zero_B, band_shift_B], -1), torch.stack([zero_B, time_scale_B, time_shift_B], -1)], dim=1
    )
    view_BTF = affine_view(x_BTF[:, None], theta_B23)[:, 0]
    tilt_F = torch.linspace(-1, 1, bands)
    slope_B11, bend_B11 = (0.3 * strength * torch.randn((2, batch, 1, 1), generator=generator)).unbind()
    view_BTF = view_BTF + slope_B11 * tilt_F + bend_B11 * tilt_F.square()
    view_BTF = view_BTF + 0.15 * strength * torch.randn(view_BTF.shape, generator=generator)
    if strength >= SPECAUGMENT_FROM:
        view_BTF = view_BTF * _keep(batch, bands, bands // 5, generator)[:, None, :]
        view_BTF = view_BTF * _keep(batch, frames, frames // 5, generator)[:, :, None]
    return view_BTF


def _keep(batch: int, size: int, longest: int, generator: Generator) -> Tensor:
    """Ones [B, size] with one random gap of up to `longest` zeros a row."""
    start_B1 = uniform((batch, 1), 0, size - longest / 2, generator)
    length_B1 = uniform((batch, 1), 0, longest, generator)
    index_S = torch.arange(size)
    return ((index_S < start_B1) | (index_S >= start_B1 + length_B1)).float()


ENCODER = Encoder("sound-conv-1", SoundTokeniser, augment)
