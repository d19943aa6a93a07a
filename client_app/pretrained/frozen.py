"""What a frozen encoder gives for raw samples: computed once on a node, then read from its disk.

Samples whose inputs have one shape go through the model together; nothing is padded, so nothing depends on the batch.

Legend: N samples, L tokens, E width.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from client_app.data.cache import cache_folder
from client_app.data.preparation.raw import Waveform
from client_app.pretrained.folder import Pretrained, find_pretrained, unusable
from client_app.pretrained.kept import KeptTokens
from client_app.pretrained.tokens import VERSION, token_count, tokens_of

if TYPE_CHECKING:
    from client_app.pretrained.inputs import Inputs

BATCH = 32
CHUNK = 256  # samples whose inputs are in memory, and whose tokens are kept, at once


def frozen_tokens(name: str, samples: Sequence[Any]) -> Tensor:
    """Tokens [N, L, E], float16, of raw samples, of the kind that the encoder reads; ConcordError C103 if it cannot be used."""
    pretrained = find_pretrained(name)
    shape = (token_count(pretrained), pretrained.width)
    kept = KeptTokens(cache_folder() / "frozen" / f"{VERSION}-{pretrained.digest[:24]}.sqlite", shape)
    keys = [content_key(sample) for sample in samples]
    tokens = kept.read(keys)
    missing = {key: sample for key, sample in zip(keys, samples, strict=True) if key not in tokens}
    for chunk in _chunks(list(missing), CHUNK):
        made = dict(zip(chunk, _loaded(name).tokens([missing[key] for key in chunk]), strict=True))
        kept.write(made)
        tokens |= made
    return torch.stack([tokens[key] for key in keys]) if keys else torch.empty(0, *shape, dtype=torch.float16)


def text_vectors(name: str, texts: Sequence[str]) -> Tensor:
    """One vector of length one a text [N, E]: as its folder of sentence-transformers makes it, else the mean of its tokens.

    Raises:
        ConcordError: C103, when the encoder cannot be used, or reads no texts.
    """
    pretrained = find_pretrained(name)
    if pretrained.family.kind != "text":
        raise unusable(name, f"it reads {pretrained.family.kind}, not texts", "name an encoder of texts")
    token_NLE = frozen_tokens(name, texts).float()
    return F.normalize(token_NLE[:, 0] if pretrained.sentence else token_NLE.sum(1), dim=1)  # tokens that are not there are 0


def content_key(sample: Any) -> bytes:
    """SHA-256 of a raw sample, whatever file it came from."""
    if isinstance(sample, str):
        return hashlib.sha256(b"text " + sample.encode()).digest()
    array, about = (sample.samples, f"audio {sample.rate} ") if isinstance(sample, Waveform) else (sample, "array ")
    digest = hashlib.sha256(f"{about}{array.dtype} {array.shape} ".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.digest()


@dataclass(frozen=True)
class Loaded:
    """A pretrained encoder in memory, ready to read samples."""

    pretrained: Pretrained
    model: nn.Module
    read: Callable[[Any], Inputs]
    device: torch.device

    def tokens(self, samples: Sequence[Any]) -> list[Tensor]:
        """Tokens [L, E], float16, of each sample."""
        made: list[Tensor] = [torch.empty(0)] * len(samples)
        inputs = [self.read(sample) for sample in samples]
        for rows in _alike(inputs):
            for batch in _chunks(rows, BATCH):
                joint = {name: torch.cat([inputs[row].tensors[name] for row in batch]) for name in inputs[batch[0]].tensors}
                shares = [inputs[row].share for row in batch]
                for row, tokens_LE in zip(batch, self._forward(joint, shares), strict=True):
                    made[row] = tokens_LE
        return made

    @torch.inference_mode()
    def _forward(self, inputs: Mapping[str, Tensor], shares: Sequence[float]) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            output = self.model(**{name: tensor.to(self.device) for name, tensor in inputs.items()})
        return tokens_of(self.pretrained, output, shares).cpu()


@lru_cache(maxsize=2)
def _loaded(name: str) -> Loaded:
    from client_app.pretrained.inputs import reader_of  # seconds to import, which what is kept need not wait for
    from client_app.pretrained.model import load_model

    pretrained = find_pretrained(name)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return Loaded(pretrained, load_model(pretrained).to(device), reader_of(pretrained), device)


def _alike(inputs: Sequence[Inputs]) -> list[list[int]]:
    """Rows by the shapes of their inputs."""
    groups: dict[object, list[int]] = {}
    for row, (tensors, _) in enumerate(inputs):
        groups.setdefault(tuple((name, tensor.shape) for name, tensor in tensors.items()), []).append(row)
    return list(groups.values())


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for begin in range(0, len(items), size):
        yield items[begin : begin + size]
