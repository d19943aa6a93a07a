"""From a raw sample to the inputs of a pretrained model, by the settings that lie beside its weights.

Nothing is padded but to what a model asks for, so a sample's inputs do not depend on others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from scipy.signal import resample_poly
from torch import Tensor
from transformers import AutoFeatureExtractor, AutoImageProcessor, AutoTokenizer

from client_app.data.preparation.raw import Picture, Waveform
from client_app.pretrained.family import AST
from client_app.pretrained.folder import Pretrained, unusable

LONGEST_TEXT = 512  # tokens, for a tokeniser that does not say how many its model takes
LONGEST_SECONDS, SHORTEST_SECONDS = 30.0, 0.1  # of a recording: the rest is cut off, or silence added
AST_FRAMES_A_SECOND = 100
VOCABULARIES = ("tokenizer.json", "vocab.*", "*.model")


class Inputs(NamedTuple):
    """Inputs of one sample by their name, [1, ...] each, and which share of them, from the beginning, is no padding."""

    tensors: Mapping[str, Tensor]
    share: float = 1.0


def reader_of(pretrained: Pretrained) -> Callable[[Any], Inputs]:
    """What makes inputs of a raw sample; ConcordError C103, where its settings or a package that it needs are missing."""
    makers: dict[str, Callable[[Pretrained], Callable[[Any], Inputs]]] = {
        "text": _text_reader,
        "image": _image_reader,
        "audio": _audio_reader,
    }
    try:
        return makers[pretrained.family.kind](pretrained)
    except ImportError as error:
        raise unusable(pretrained.name, error, "install the package that it names") from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise unusable(pretrained.name, f"no settings for {pretrained.family.kind} samples: {error}") from error


def _text_reader(pretrained: Pretrained) -> Callable[[str], Inputs]:
    if not any(file for pattern in VOCABULARIES for file in pretrained.weights.glob(pattern)):  # transformers would make one up
        raise unusable(pretrained.name, f"{pretrained.weights} has no vocabulary: {', '.join(VOCABULARIES)}")
    tokeniser = AutoTokenizer.from_pretrained(pretrained.weights, local_files_only=True, trust_remote_code=False)
    sentence = pretrained.sentence
    positions = int(getattr(pretrained.config, "max_position_embeddings", LONGEST_TEXT + 2))
    fits = tokeniser.model_max_length if tokeniser.model_max_length <= positions else min(positions - 2, LONGEST_TEXT)
    longest = min(fits, sentence.longest) if sentence and sentence.longest else fits

    def read(text: str) -> Inputs:
        text = text.lower() if sentence and sentence.lower_case else text
        return Inputs(dict(tokeniser(text, truncation=True, max_length=longest, return_tensors="pt")))

    return read


def _image_reader(pretrained: Pretrained) -> Callable[[Picture], Inputs]:
    processor = AutoImageProcessor.from_pretrained(pretrained.weights, backend="pil", local_files_only=True)

    def read(picture_HW3: Picture) -> Inputs:
        return Inputs(dict(processor(images=Image.fromarray(picture_HW3), return_tensors="pt")))

    return read


def _audio_reader(pretrained: Pretrained) -> Callable[[Waveform], Inputs]:
    extractor = AutoFeatureExtractor.from_pretrained(pretrained.weights, local_files_only=True)
    rate, name = int(extractor.sampling_rate), extractor.model_input_names[0]
    padded_to = getattr(extractor, "n_samples", 0)  # Whisper's
    if pretrained.config.model_type == AST:
        padded_to = extractor.max_length * rate // AST_FRAMES_A_SECOND

    def read(wave: Waveform) -> Inputs:
        common = math.gcd(rate, wave.rate)
        samples_T = resample_poly(wave.samples[: int(LONGEST_SECONDS * wave.rate)], rate // common, wave.rate // common)
        samples_T = np.pad(samples_T, (0, max(0, int(SHORTEST_SECONDS * rate) - len(samples_T))))
        inputs = extractor(samples_T, sampling_rate=rate, return_tensors="pt")
        return Inputs({name: inputs[name]}, min(1.0, len(samples_T) / padded_to) if padded_to else 1.0)

    return read
