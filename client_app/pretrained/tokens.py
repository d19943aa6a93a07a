"""From the hidden states of a pretrained encoder to a few tokens of a sample.

First what stands for the whole sample, where the encoder has such a thing; then means of its parts: a grid of an image, equal
stretches of a text or a recording. The rest, where there are fewer parts, is zero.

Legend: B batch, N hidden states, P of them of parts of the sample, L tokens, E width, G side of the grid, F bands, T times.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from client_app.pretrained.family import AST
from client_app.pretrained.folder import Pretrained, Sentence

VERSION = "frozen-1"  # of how tokens are made, and of what is trained on them
TOKENS = 16  # at most
GRID = 3
LARGEST = torch.finfo(torch.float16).max


def tokens_of(pretrained: Pretrained, output: Any, shares: Sequence[float]) -> Tensor:
    """Tokens [B, L, E], float16, of what the model gave for B samples, of whose inputs these shares are no padding."""
    hidden_BNE: Tensor = output.last_hidden_state.float()
    summary_B1E = _summary(pretrained, output, hidden_BNE)
    parts_BPE = hidden_BNE[:, pretrained.family.prefix :]
    if pretrained.family.kind == "image":
        means_BLE = grid(parts_BPE)
    else:
        if pretrained.config.model_type == AST:
            parts_BPE = over_time(parts_BPE, bands_of(pretrained.config))
        count, parts = TOKENS - summary_B1E.shape[1], parts_BPE.shape[1]
        real = (max(1, math.ceil(share * parts)) for share in shares)
        means_BLE = torch.stack([stretches(own_PE[:end], count) for own_PE, end in zip(parts_BPE, real, strict=True)])
    return torch.cat([summary_B1E, means_BLE], 1).clamp(-LARGEST, LARGEST).half()


def token_count(pretrained: Pretrained) -> int:
    """L."""
    return 1 + GRID**2 if pretrained.family.kind == "image" else TOKENS


def stretches(parts_PE: Tensor, count: int) -> Tensor:
    """Means over stretches that are as equal as can be, [count, E]; fewer parts stay as they are, and zeros follow them."""
    means_LE = torch.stack([part.mean(0) for part in parts_PE.tensor_split(min(len(parts_PE), count))])
    return F.pad(means_LE, (0, 0, 0, count - len(means_LE)))


def grid(parts_BPE: Tensor) -> Tensor:
    """Means of the patches of a square image over a grid, [B, G * G, E]."""
    side = math.isqrt(parts_BPE.shape[1])
    image_BEHW = parts_BPE.transpose(1, 2).unflatten(2, (side, side))
    means_BEGG: Tensor = F.adaptive_avg_pool2d(image_BEHW, GRID)
    return means_BEGG.flatten(2).transpose(1, 2)


def over_time(parts_BPE: Tensor, bands: int) -> Tensor:
    """Means over the bands of a spectrogram whose patches are ordered by band, then time: [B, P / bands, E]."""
    parts_BFTE: Tensor = parts_BPE.unflatten(1, (bands, -1))
    return parts_BFTE.mean(1)


def bands_of(config: Any) -> int:
    """How many patches of an AST lie above each other."""
    return int((config.num_mel_bins - config.patch_size) // config.frequency_stride + 1)


def sentence_vector(hidden_BNE: Tensor, sentence: Sentence) -> Tensor:
    """The vector [B, E] that sentence-transformers gives for a text, from its hidden states without padding."""
    if sentence.pooling == "max":
        vector_BE = hidden_BNE.amax(1)
    elif sentence.pooling == "mean":
        vector_BE = hidden_BNE.mean(1)
    else:
        vector_BE = hidden_BNE[:, 0 if sentence.pooling == "first" else -1]
    return F.normalize(vector_BE, dim=1) if sentence.normalise else vector_BE


def _summary(pretrained: Pretrained, output: Any, hidden_BNE: Tensor) -> Tensor:
    """What stands for the whole sample, [B, 1, E]; [B, 0, E] where there is nothing."""
    prefix_BPE = hidden_BNE[:, : pretrained.family.prefix]
    if pretrained.sentence:
        return sentence_vector(hidden_BNE, pretrained.sentence)[:, None]
    if pretrained.family.pooled:
        pooled_BE: Tensor = output.pooler_output
        return pooled_BE.float()[:, None]
    return prefix_BPE.mean(1, keepdim=True) if pretrained.family.prefix else prefix_BPE
