"""Time series of any length for the encoder of their number of channels.

Legend: T times, K channels.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from client_app.data.preparation.preparation import Preparation
from client_app.data.preparation.raw import Series
from client_app.encoders.series import channels_of
from concord.errors import ConcordError

TIMES = 128
LARGEST = 1e15  # squares of it, summed, are numbers still


def series_preparation(channels: str) -> Preparation:
    """The preparation for series with so many channels; ConcordError C204 for what is no such number."""
    return Preparation("series", partial(prepare, channels_of(channels)))


def prepare(channels: int, series_TK: Series) -> Tensor:
    """Levels [128, K] of a series of any length, resampled linearly; of a longer one, by means of what lies around a time.

    Raises:
        ConcordError: C206, when it has another number of channels, or a value that is too large.
    """
    if series_TK.shape[1] != channels:
        what = f"number of channels of a series: {series_TK.shape[1]}, the encoder takes {channels}"
        raise ConcordError("C206", what, "`concord data check FOLDER --anchors ANCHORS` tells which it is")
    if np.abs(series_TK).max() > LARGEST:
        raise ConcordError("C206", f"a series with a value beyond {LARGEST:g}", "choose a larger unit")
    x_11TK = torch.as_tensor(series_TK, dtype=torch.float32)[None, None]
    return nn.functional.interpolate(x_11TK, (TIMES, channels), mode="bilinear", antialias=True)[0, 0]
