"""Samples as files hold them become what the encoders take."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from client_app.data.preparation import image, picture, sound, word
from client_app.data.preparation.log_mel import RATE, log_mel
from client_app.data.preparation.raw import Waveform
from client_app.data.preparation.registry import PREPARATIONS, preparation_of
from client_app.encoders import ENCODERS, encoder_of
from concord.config import RunConfig
from concord.errors import ConcordError


def test_a_grey_picture_shrinks_to_means_of_its_pixels() -> None:
    levels_HW = np.random.default_rng(0).integers(0, 256, (64, 96), dtype=np.uint8)
    x_HW = image.prepare(np.repeat(levels_HW[..., None], 3, axis=2))
    means_HW = levels_HW.reshape(32, 2, 32, 3).mean((1, 3)) / 255
    assert torch.allclose(x_HW, torch.as_tensor(means_HW, dtype=torch.float32), atol=1 / 255)


def test_a_colour_picture_shrinks_to_means_of_its_pixels_by_colour() -> None:
    picture_HW3 = np.random.default_rng(2).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    means_3HW = picture_HW3.reshape(32, 2, 32, 3, 3).mean((1, 3)).transpose(2, 0, 1) / 255
    assert torch.allclose(picture.prepare(picture_HW3), torch.as_tensor(means_3HW, dtype=torch.float32), atol=1 / 255)


def test_a_recording_at_the_rate_of_the_features_is_not_resampled() -> None:
    samples_T = np.random.default_rng(1).standard_normal(4000).astype(np.float32)
    assert torch.equal(sound.prepare(Waveform(samples_T, RATE)), log_mel([samples_T])[0])


@pytest.mark.parametrize("rate", [16_000, 44_100, 11_025])
def test_a_tone_sounds_alike_at_any_rate(rate: int) -> None:
    def chirp(at: int) -> Waveform:
        seconds = np.arange(at) / at
        return Waveform(np.sin(2 * np.pi * (300 + 800 * seconds) * seconds).astype(np.float32), at)

    as_it_is, resampled = sound.prepare(chirp(RATE)), sound.prepare(chirp(rate))
    assert torch.nn.functional.cosine_similarity(as_it_is.flatten(), resampled.flatten(), dim=0) > 0.97


def test_a_word_is_the_codes_of_its_characters() -> None:
    assert torch.equal(word.prepare(" Seven"), word.prepare("seven"))
    assert (word.prepare("seven") != 0).sum() == 5


@pytest.mark.parametrize("name", PREPARATIONS)
def test_what_is_prepared_fits_the_encoder_of_that_name(name: str) -> None:
    raw = {
        "image": np.zeros((7, 5, 3), np.uint8),
        "audio": Waveform(np.ones(100, np.float32), 44_100),
        "text": "sept",
    }
    x = preparation_of(name).prepare(raw[preparation_of(name).kind])
    tokens = ENCODERS[name].build(8)(x[None])
    assert tokens.embeds_BLD.shape[-1] == 8
    assert tokens.embeds_BLD.isfinite().all()


def test_an_encoder_without_a_preparation_is_told() -> None:
    with pytest.raises(ConcordError, match=r"C204.*'pen'"):
        preparation_of("pen")


@pytest.mark.parametrize("times", [1, 5, 128, 700])
def test_a_series_is_resampled_as_pictures_are(times: int) -> None:
    series_TK = np.random.default_rng(3).normal(50, 20, (times, 3)).astype(np.float32)
    x_TK = preparation_of("series:3").prepare(series_TK)
    wanted_KT = [Image.fromarray(series_TK[:, [k]]).resize((1, 128), Image.Resampling.BILINEAR) for k in range(3)]
    assert x_TK.dtype == torch.float32
    np.testing.assert_allclose(x_TK.numpy(), np.concatenate([np.asarray(one) for one in wanted_KT], 1), rtol=1e-4)


def test_a_series_of_other_channels_is_told() -> None:
    with pytest.raises(ConcordError, match=r"C206.*channels of a series: 2, the encoder takes 3"):
        preparation_of("series:3").prepare(np.zeros((5, 2), np.float32))


def test_a_series_whose_squares_would_be_no_numbers_is_told() -> None:
    x_TK = preparation_of("series:1").prepare(np.array([[9e14], [-9e14]], np.float32))
    assert encoder_of(RunConfig(encoders="a=series:1"), "a").build(8)(x_TK[None]).embeds_BLD.isfinite().all()
    with pytest.raises(ConcordError, match=r"C206.*beyond"):
        preparation_of("series:1").prepare(np.full((5, 1), -1e30, np.float32))
