"""Features of each modality, on inputs whose features are known."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from num2words import CONVERTER_CLASSES

from client_app.data.preparation.characters import LENGTH, code, encode, normalise
from client_app.data.preparation.log_mel import FFT, FRAMES, HOP, MELS, RATE, WINDOW, log_mel, mel_filters
from client_app.data.readers.image import like_mnist
from client_app.data.readers.number_words import FORMS, spell
from client_app.data.readers.optdigits import OPTDIGITS
from client_app.data.readers.pen import POINTS, resample
from client_app.data.readers.sign import camera_blocks
from client_app.data.readers.tone import EXCHANGES, HIGH_HZ, LOW_HZ, call, dual_tone, synthesise


def sine(frequency: float, seconds: float) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(int(seconds * RATE)) / RATE).astype(np.float32)


@pytest.mark.parametrize("frequency", [200.0, 440.0, 1000.0, 2500.0, 3600.0])
def test_a_sine_peaks_in_the_band_around_its_frequency(frequency: float) -> None:
    middle = log_mel([sine(frequency, 0.8)])[0, FRAMES // 2]
    mel = 2595 * np.log10(1 + np.array([60.0, frequency, RATE / 2]) / 700)  # O'Shaughnessy's formula
    expected = (mel[1] - mel[0]) / (mel[2] - mel[0]) * (MELS + 1) - 1
    assert abs(int(middle.argmax()) - expected) <= 1


def test_every_mel_filter_covers_a_bin() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bank = mel_filters()
    assert bank.shape == (FFT // 2 + 1, MELS)
    assert (bank.sum(0) > 0).all()


def noise(samples: int) -> np.ndarray:
    wave = np.random.default_rng(0).standard_normal(samples)
    return (wave - wave.mean()).astype(np.float32)


def test_log_mel_matches_a_loop_in_float64() -> None:
    wave = np.concatenate([1e-3 * noise(900), noise(3000), 1e-3 * noise(700)])
    padded = np.pad(wave.astype(np.float64) - wave.mean(), WINDOW // 2)
    window = np.sin(np.pi * np.arange(WINDOW) / WINDOW) ** 2
    powers = []
    for frame in range(1 + len(wave) // HOP):
        spectrum = np.abs(np.fft.rfft(padded[frame * HOP : frame * HOP + WINDOW] * window, FFT)) ** 2
        powers.append(spectrum @ mel_filters().double().numpy())
    level = 10 * np.log10(np.sum(powers, axis=1))
    heard = np.flatnonzero(level > level.max() - 25)
    assert 30 < heard.size < len(powers)
    decibel = 10 * np.log10(powers[heard[0] : heard[-1] + 1])
    decibel = np.maximum(decibel, decibel.max() - 60)
    at = np.linspace(0, len(decibel) - 1, FRAMES)
    expected = np.stack([np.interp(at, np.arange(len(decibel)), band) for band in decibel.T], axis=1)
    expected = (expected - expected.mean()) / expected.std(ddof=1)
    assert np.allclose(log_mel([wave])[0].numpy(), expected, atol=1e-3)


def test_pauses_before_and_after_do_not_matter() -> None:
    wave = noise(3000)
    brief, long = (np.pad(wave, (frames * HOP, 2 * frames * HOP)) for frames in (5, 40))
    assert torch.allclose(log_mel([brief]), log_mel([long]), atol=1e-3)


def test_tempo_hardly_matters() -> None:
    def sweep(seconds: float) -> np.ndarray:
        time = np.arange(int(seconds * RATE)) / RATE
        return np.sin(2 * np.pi * (300 + 1200 * time / seconds) * time).astype(np.float32)

    slow, fast = log_mel([sweep(1.2), sweep(0.6)])
    assert np.corrcoef(slow.flatten(), fast.flatten())[0, 1] > 0.95


@pytest.mark.parametrize("samples", [1, 100, 5000, 40_000])
def test_recordings_of_any_length_have_the_same_shape(samples: int) -> None:
    features = log_mel([noise(samples)])
    assert features.shape == (1, FRAMES, MELS)
    assert bool(features.isfinite().all())


def test_loudness_does_not_matter() -> None:
    wave = np.random.default_rng(1).standard_normal(4000).astype(np.float32)
    assert torch.allclose(log_mel([wave]), log_mel([wave * 0.01]), atol=1e-3)


def test_recordings_do_not_depend_on_their_neighbours() -> None:
    waves = [sine(300 + 10 * i, 0.1 + 0.002 * i) for i in range(20)]
    assert torch.allclose(log_mel(waves)[7], log_mel([waves[7]])[0], atol=1e-4)
    assert log_mel([]).shape == (0, FRAMES, MELS)


@pytest.mark.parametrize("digit", range(10))
def test_the_two_frequencies_of_a_digit_are_those_of_the_keypad(digit: int) -> None:
    time = np.arange(RATE) / RATE
    spectrum = np.abs(np.fft.rfft(dual_tone(digit, time, 0.0, np.ones(2), np.zeros(2))))
    assert set(np.argsort(spectrum)[-2:].tolist()) == {LOW_HZ[digit], HIGH_HZ[digit]}  # one bin a hertz


def test_the_keypad_is_that_of_q23() -> None:
    keypad = ["123", "456", "789", "*0#"]
    for row, low in zip(keypad, (697, 770, 852, 941), strict=True):
        for key, high in zip(row, (1209, 1336, 1477), strict=True):
            assert not key.isdigit() or (LOW_HZ[int(key)], HIGH_HZ[int(key)]) == (low, high)


def test_twist_is_the_level_of_the_high_over_the_low_tone() -> None:
    spectrum = np.abs(np.fft.rfft(dual_tone(1, np.arange(RATE) / RATE, 3.0, np.ones(2), np.zeros(2))))
    assert 20 * np.log10(spectrum[1209] / spectrum[697]) == pytest.approx(3.0, abs=1e-6)


def test_calls_are_band_limited_and_of_the_stated_length() -> None:
    wave = call(5, EXCHANGES[0], np.random.default_rng(0))
    power = np.abs(np.fft.rfft(wave, RATE)) ** 2
    assert 0.4 * RATE <= wave.size <= 0.6 * RATE
    assert power[:150].sum() + power[3800:].sum() < 0.01 * power.sum()


def test_tones_are_determined_by_the_seed() -> None:
    first, again, other = (next(iter(synthesise(seed)))[3] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first[:1000], other[:1000])


def test_words_are_codes_below_the_number_of_codes_and_padded_with_zero() -> None:
    (row,) = encode(["drei"]).tolist()
    assert row == [code(c) for c in "drei"] + [0] * (LENGTH - 4)
    assert encode(["x" * 99]).shape == (1, LENGTH)
    assert encode([]).shape == (0, LENGTH)


def test_codes_do_not_change() -> None:
    assert [code(character) for character in "a\u0437\u96f6"] == [1944, 1758, 1109]


@given(st.characters())
def test_codes_are_never_padding(character: str) -> None:
    assert 1 <= code(character) <= 2047


@given(st.integers(0, 0x10000))
def test_neighbouring_code_points_do_not_collide(first: int) -> None:
    assert len({code(chr(first + i)) for i in range(100)}) == 100


@given(st.text(max_size=20))
def test_normalisation_is_idempotent_and_ignores_case_and_composition(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)
    assert normalise("FÜNF") == normalise("fu\u0308nf")


def test_a_straight_stroke_is_resampled_at_equal_distances() -> None:
    points = np.array([[0, 0, 0], [1, 0, 0], [8, 0, 0], [10, 0, 0]])
    (trajectory,) = resample(points, np.array([0, 4]))
    assert np.allclose(trajectory[:, 0], np.linspace(-1, 1, POINTS), atol=1e-6)
    assert np.allclose(trajectory[:, 1], 0)
    assert (trajectory[:, 2] == 1).all()


def test_a_lift_of_the_pen_is_told_and_aspect_is_kept() -> None:
    points = np.array([[0, 0, 0], [0, 10, 0], [5, 10, 1], [5, 0, 1]])
    (trajectory,) = resample(points, np.array([0, 4]))
    up = trajectory[:, 2] == 0
    assert np.abs(trajectory[:, 0]).max() == pytest.approx(0.5)
    assert np.allclose(trajectory[up, 1], 1.0)
    assert up.sum() == pytest.approx(POINTS * 5 / 25, abs=1.5)


def test_trajectories_do_not_depend_on_their_neighbours() -> None:
    rng = np.random.default_rng(0)
    parts = [np.c_[rng.integers(0, 400, (size, 2)), np.zeros(size, int)] for size in (5, 1, 40, 3)]
    offset = np.cumsum([0, *map(len, parts)])
    together = resample(np.concatenate(parts), offset)
    alone = [resample(part, np.array([0, len(part)]))[0] for part in parts]
    assert np.isfinite(together).all()
    assert np.allclose(together, alone, atol=1e-5)


def test_semeion_is_put_in_the_box_of_mnist() -> None:
    (image,) = like_mnist(torch.ones(1, 16, 16))
    assert image.shape == (28, 28)
    assert (image[4:24, 4:24] == 1).all()
    assert image.sum() == 400


def test_camera_blocks_are_contiguous_and_cut_where_a_student_begins() -> None:
    rng = np.random.default_rng(0)
    number = rng.permutation(240)
    block = camera_blocks(number, number % 10)
    in_order = block[np.argsort(number)]
    cuts = np.flatnonzero(np.diff(in_order)) + 1
    assert sorted(set(block.tolist())) == list(range(12))
    assert (np.diff(in_order) >= 0).all()
    assert (cuts % 10 == 0).all()


def test_optdigits_has_thirteen_forms() -> None:
    corpus = OPTDIGITS.build(None)  # type: ignore[arg-type]
    assert len(set(corpus.owners)) == 13
    assert len(corpus.samples) == 1797


def test_forms_that_a_language_lacks_are_left_out() -> None:
    assert spell(3, "de", "ordinal") == "dritte"
    assert spell(0, "pl", "ordinal") == ""
    for language in CONVERTER_CLASSES:
        assert spell(3, language, "cardinal")
        assert all(spell(digit, language, form).isprintable() for digit in range(10) for form in FORMS)
