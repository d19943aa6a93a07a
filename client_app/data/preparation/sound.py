"""Recordings for the encoder of log-mel frames."""

from __future__ import annotations

import math

import torch
from scipy.signal import resample_poly
from torch import Tensor

from client_app.data.preparation.log_mel import RATE, log_mel
from client_app.data.preparation.raw import Waveform


def prepare(wave: Waveform) -> Tensor:
    """Log-mel frames [64, 40] of a recording at any rate."""
    common = math.gcd(RATE, wave.rate)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a recording is short: threads that wait for each other took twenty times as long
    try:
        return log_mel([resample_poly(wave.samples, RATE // common, wave.rate // common)])[0]
    finally:
        torch.set_num_threads(threads)
