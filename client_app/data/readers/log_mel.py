"""Log-mel spectrograms of short telephone-band sounds, for speech and tones: [N, 64 frames, 40 mels].

25 ms windows every 12.5 ms at 8 kHz (Davis & Mermelstein 1980 for the mel scale; the filter bank is transformers').
A recording stands in the middle of 0.81 s; of a longer one the loudest 0.81 s are kept. Levels more than 60 dB below
the loudest are cut off, and each recording is standardised over the frames in which it sounds, so that neither
loudness nor length moves the features.

Shapes: N recordings, W samples of the window of all frames, F frames, L samples of a frame, K frequency bins, M mels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers.audio_utils import mel_filter_bank

RATE = 8000
FRAMES = 64
MELS = 40
FRAME = 200
HOP = 100
FFT = 256
SPAN = (FRAMES - 1) * HOP + FRAME
LOWEST_HZ = 60.0
RANGE_DB = 60.0
CHUNK = 512  # recordings at a time, which bounds memory


def log_mel(waves: Sequence[NDArray[np.float32]]) -> Tensor:
    """Features [N, 64, 40] of N recordings at 8 kHz, of any lengths."""
    parts = [_log_mel_of_chunk(waves[start : start + CHUNK]) for start in range(0, len(waves), CHUNK)]
    return torch.cat(parts) if parts else torch.empty(0, FRAMES, MELS)


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


def _log_mel_of_chunk(waves: Sequence[NDArray[np.float32]]) -> Tensor:
    placed = [_centre(wave) for wave in waves]
    wave_NW = torch.as_tensor(np.stack([wave for wave, _, _ in placed]))
    frame_NFL = wave_NW.unfold(1, FRAME, HOP) * torch.hann_window(FRAME)
    power_NFK = torch.fft.rfft(frame_NFL, FFT).abs().square()
    decibel_NFM = 10 * torch.log10(power_NFK @ mel_filters() + 1e-12)
    peak_N11 = decibel_NFM.amax((1, 2), keepdim=True)
    decibel_NFM = decibel_NFM.maximum(peak_N11 - RANGE_DB)
    start_F = torch.arange(FRAMES) * HOP
    begin_N1, end_N1 = (torch.tensor([p[i] for p in placed]).unsqueeze(1) for i in (1, 2))
    sounds_NF1 = ((start_F + FRAME > begin_N1) & (start_F < end_N1)).unsqueeze(2)
    count_N11 = sounds_NF1.sum((1, 2), keepdim=True) * MELS
    mean_N11 = (decibel_NFM * sounds_NF1).sum((1, 2), keepdim=True) / count_N11
    variance_N11 = ((decibel_NFM - mean_N11).square() * sounds_NF1).sum((1, 2), keepdim=True) / count_N11
    return (decibel_NFM - mean_N11) / variance_N11.sqrt().clamp_min(1e-3)


def _centre(wave: NDArray[np.float32]) -> tuple[NDArray[np.float32], int, int]:
    """The recording in a window of `SPAN` samples, without its mean, and where in it the recording begins and ends."""
    wave = wave - wave.mean()
    if wave.size > SPAN:
        energy = np.concatenate([[0.0], np.cumsum(np.square(wave, dtype=np.float64))])
        loudest = int(np.argmax(energy[SPAN:] - energy[:-SPAN]))
        return wave[loudest : loudest + SPAN], 0, SPAN
    begin = (SPAN - wave.size) // 2
    window = np.zeros(SPAN, np.float32)
    window[begin : begin + wave.size] = wave
    return window, begin, begin + wave.size
