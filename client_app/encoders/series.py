"""Time series of any channels: pulse and pressure at a bedside, currents of a motor.

Legend: B batch, T times, K channels, W waves, J = 2 K levels and deviations, D token width, L tokens.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Generator, Tensor, nn

from client_app.encoders.encoder import TOKENS, Encoder, Positions, Tokens, convolutions_over_time
from client_app.encoders.window import shifted
from concord.errors import ConcordError

SERIES = "series:"  # before the number of channels
MOST_CHANNELS = 1024
SCALE, JITTER = 0.1, 0.03  # deviations of the strongest view, in deviations of the channel
LONGEST_SHIFT = 12  # of 128 times
STILL = 1e-5  # deviation of a channel that does not move, as a share of its level; float32 rounds at a hundredth of it
WAVES = (1.0, 2.0, 4.0, 8.0)  # radians a unit of the natural logarithm
LEAST = 1e-6  # deviation, where the level is 0 too


class SeriesTokeniser(nn.Module):
    """Series [B, 128, K] -> 16 tokens [B, 16, D]: three strided convolutions over time.

    Channels have units of their own, so each is standardised. Its level, by a signed logarithm, and the logarithm of its
    deviation go into every token, as waves of four lengths (Fourier features, Tancik et al. 2020): the logarithms themselves
    would tell 37 from 39 degrees by a hundredth of what they have in common, and the normalisation would leave little of it.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.convolutions = convolutions_over_time(channels, width)
        self.level = nn.Linear(4 * len(WAVES) * channels, width)
        self.positions = Positions(TOKENS, width)

    def forward(self, x_BTK: Tensor) -> Tokens:
        mean_B1K, deviation_B1K = level_and_deviation(x_BTK)
        shape_BKT = ((x_BTK - mean_B1K) / deviation_B1K).transpose(1, 2)
        phase_BWJ = torch.cat([mean_B1K.asinh(), deviation_B1K.log()], -1) * x_BTK.new_tensor(WAVES)[:, None]
        level_BD = self.level(torch.cat([phase_BWJ.sin(), phase_BWJ.cos()], -1).flatten(1))
        return Tokens(self.positions(self.convolutions(shape_BKT) + level_BD[..., None]))


def level_and_deviation(x_BTK: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation [B, 1, K] of each channel; one that does not move has a small deviation."""
    mean_B1K = x_BTK.mean(1, keepdim=True)
    deviation_B1K = (x_BTK - mean_B1K).square().mean(1, keepdim=True)
    return mean_B1K, (deviation_B1K + (STILL * mean_B1K).square() + LEAST**2).sqrt()


def augment(x_BTK: Tensor, strength: float, generator: Generator) -> Tensor:
    """Another recording of the same: time shift, another amplitude of each channel about its level, jitter."""
    batch, _, channels = x_BTK.shape
    mean_B1K, deviation_B1K = level_and_deviation(x_BTK)
    view_BTK = shifted(x_BTK, strength, LONGEST_SHIFT, generator)
    scale_B1K = 1 + SCALE * strength * torch.randn((batch, 1, channels), generator=generator)
    jitter_BTK = JITTER * strength * deviation_B1K * torch.randn(x_BTK.shape, generator=generator)
    return mean_B1K + (view_BTK - mean_B1K) * scale_B1K + jitter_BTK


def series_encoder(channels: str) -> Encoder:
    """The encoder of series with so many channels; ConcordError C204 for what is no such number."""
    number = channels_of(channels)
    return Encoder(f"series-conv-1 {number}", partial(SeriesTokeniser, number), augment)


def channels_of(text: str) -> int:
    """A number of channels; ConcordError C204."""
    if not (text.isascii() and text.isdigit() and len(text) < 5 and 0 < int(text) <= MOST_CHANNELS):
        hint = f"write the number of channels, 1 to {MOST_CHANNELS}, after {SERIES!r}, as series:3"
        raise ConcordError("C204", f"encoders: {SERIES}{text} tells of no series", hint)
    return int(text)
