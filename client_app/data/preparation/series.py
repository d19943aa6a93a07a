"""Time series of any length for the encoder of their number of channels.

Legend: T times, K channels.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from client_app.data.preparation.preparation import Preparation
from client_app.data.preparation.raw import Series
from client_app.encoders.series import channels_of
from concord.errors import ConcordError

TIMES = 128


def series_preparation(channels: str) -> Preparation:
    """The preparation for series with so many channels; ConcordError C204 for what is no such number."""
    return Preparation("series", partial(prepare, channels_of(channels)))


def prepare(channels: int, series_TK: Series) -> Tensor:
    """Levels [128, K] of a series of any length, resampled linearly; of a longer one, by means of what lies around a time.

    Raises:
        ConcordError: C206, when it has another number of channels.
    """
    if series_TK.shape[1] != channels:
        what = f"a series of {series_TK.shape[1]} channels, where the encoder takes {channels}"
        raise ConcordError("C206", what, "`concord data check FOLDER --anchors ANCHORS` tells which it is")
    x_11TK = torch.as_tensor(series_TK, dtype=torch.float32)[None, None]
    return nn.functional.interpolate(x_11TK, (TIMES, channels), mode="bilinear", antialias=True)[0, 0]
