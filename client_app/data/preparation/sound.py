"""Recordings for the encoder of log-mel frames."""

from __future__ import annotations

import math

from scipy.signal import resample_poly
from torch import Tensor

from client_app.data.preparation.log_mel import RATE, log_mel
from client_app.data.preparation.raw import Waveform


def prepare(wave: Waveform) -> Tensor:
    """Log-mel frames [64, 40] of a recording at any rate."""
    common = math.gcd(RATE, wave.rate)
    return log_mel([resample_poly(wave.samples, RATE // common, wave.rate // common)])[0]
