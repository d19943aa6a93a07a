"""Log-mel spectrograms of short telephone-band sounds, for speech and tones: [N, 64 frames, 40 mels].

32 ms windows every 10 ms at 8 kHz (Davis & Mermelstein 1980 for the mel scale; the filter bank is transformers').
A recording is trimmed to the frames within 25 dB of its loudest one, levels more than 60 dB below the loudest are
cut off, its length is brought to 64 frames, and it is standardised: loudness, pauses and tempo do not move the features.

Shapes: N recordings, W samples, F frames of a recording, K frequency bins, M mels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers.audio_utils import mel_filter_bank

RATE = 8000
FRAMES = 64
MELS = 40
WINDOW = 256
HOP = 80
FFT = 512
LOWEST_HZ = 60.0
TRIM_DB = 25.0
RANGE_DB = 60.0
FLOOR = 1e-10  # power below that of one 16-bit step


def log_mel(waves: Sequence[NDArray[np.float32]]) -> Tensor:
    """Features [N, 64, 40] of N recordings at 8 kHz, of any lengths."""
    bank_KM = mel_filters()
    features = [_log_mel_of_one(torch.as_tensor(wave), bank_KM) for wave in waves]
    return torch.stack(features) if features else torch.empty(0, FRAMES, MELS)


def mel_filters() -> Tensor:
    """Filter bank [K, M]; column m peaks at the m-th mel frequency."""
    bank_KM = mel_filter_bank(
        num_frequency_bins=FFT // 2 + 1,
        num_mel_filters=MELS,
        min_frequency=LOWEST_HZ,
        max_frequency=RATE / 2,
        sampling_rate=RATE,
        norm=None,
        mel_scale="htk",
    )
    return torch.as_tensor(bank_KM, dtype=torch.float32)


def _log_mel_of_one(wave_W: Tensor, bank_KM: Tensor) -> Tensor:
    """Features [64, M] of one recording."""
    wave_W = wave_W - wave_W.mean()
    wave_W = nn.functional.pad(wave_W, (0, max(0, WINDOW - len(wave_W))))
    spectrum_KF = torch.stft(wave_W, FFT, HOP, WINDOW, torch.hann_window(WINDOW), pad_mode="constant", return_complex=True)
    power_FM = spectrum_KF.abs().square().T @ bank_KM
    level_F = 10 * torch.log10(power_FM.sum(1) + FLOOR)
    heard = torch.nonzero(level_F > level_F.max() - TRIM_DB).flatten()
    decibel_FM = 10 * torch.log10(power_FM[int(heard[0]) : int(heard[-1]) + 1] + FLOOR)
    decibel_FM = decibel_FM.maximum(decibel_FM.max() - RANGE_DB)
    resized_MF = nn.functional.interpolate(decibel_FM.T[None], size=FRAMES, mode="linear", align_corners=True)[0]
    return ((resized_MF - resized_MF.mean()) / resized_MF.std().clamp_min(1e-3)).T.contiguous()
