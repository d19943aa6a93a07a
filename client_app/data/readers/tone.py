"""Keypad tones on poor telephone lines. SYNTHESISED: no recording is used.

A digit is the sum of two sinusoids after ITU-T Q.23 (DTMF), 0.4-0.6 s at 8 kHz: random level, twist (level of the high
over the low group) within +-4 dB, frequency offset within +-1.5 %. The line adds white noise at a signal-to-noise ratio
of 0 to 15 dB, mains hum and crosstalk, the fainter tone of a key pressed on another line at the same time, and passes
300-3400 Hz. An owner is a telephone exchange, with its own noise, mains frequency, slope of the line and crosstalk.
The corpus is the same in every run: seeds split it, they do not make it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from client_app.data.corpus import Corpus, Reader, make_corpus
from client_app.data.preparation.log_mel import RATE, log_mel

LOW_HZ = (941, 697, 697, 697, 770, 770, 770, 852, 852, 852)  # of the digits 0 to 9 on the keypad
HIGH_HZ = (1336, 1209, 1336, 1477, 1209, 1336, 1477, 1209, 1336, 1477)
TAKES = 40
CORPUS_SEED = 23
TWIST_DB = 4.0
OFFSET = 0.015
HUM_SHARE = 0.5  # largest amplitude of the hum over that of the tone
BAND_HZ = (300, 3400)


@dataclass(frozen=True)
class Exchange:
    """A telephone exchange: its name, range of signal-to-noise ratios in dB, mains frequency in Hz, twist of the line
    in dB, and range of the level of crosstalk below that of the tone in dB."""

    name: str
    snr_db: tuple[float, float]
    hum_hz: float
    twist_db: float
    crosstalk_db: tuple[float, float]


EXCHANGES = (
    Exchange("north", (5.0, 15.0), 50.0, 0.0, (3.0, 12.0)),
    Exchange("east", (0.0, 8.0), 50.0, -2.0, (2.0, 9.0)),
    Exchange("south", (2.0, 10.0), 60.0, 2.0, (1.0, 9.0)),
    Exchange("public", (0.0, 15.0), 50.0, 0.0, (2.0, 12.0)),
    Exchange("overseas", (0.0, 6.0), 60.0, -3.0, (1.0, 6.0)),
)


def build(_: Path) -> Corpus:
    """All tones of all exchanges as log-mel spectrograms; made here, so the data folder does not matter."""
    rows = list(synthesise(CORPUS_SEED))
    ids = [f"tone/{exchange}-{digit}-{take:02}" for exchange, digit, take, _ in rows]
    return make_corpus(log_mel([wave for *_, wave in rows]), [digit for _, digit, _, _ in rows], ids, [row[0] for row in rows])


def synthesise(seed: int) -> Iterator[tuple[str, int, int, NDArray[np.float32]]]:
    """Exchange, digit, take and wave of every tone."""
    rng = np.random.default_rng(seed)
    for exchange in EXCHANGES:
        for digit in range(10):
            for take in range(TAKES):
                yield exchange.name, digit, take, call(digit, exchange, rng)


def call(digit: int, exchange: Exchange, rng: np.random.Generator) -> NDArray[np.float32]:
    """One key press as it arrives at the exchange."""
    time = np.arange(int(rng.uniform(0.4, 0.6) * RATE)) / RATE
    tone = _key_press(digit, time, exchange, rng)
    crosstalk = _key_press(int(rng.integers(10)), time, exchange, rng) * 10 ** (-rng.uniform(*exchange.crosstalk_db) / 20)
    snr_db = rng.uniform(*exchange.snr_db)
    noise = rng.standard_normal(time.size) * np.sqrt(np.mean(tone**2)) * 10 ** (-snr_db / 20)
    hum = rng.uniform(0, HUM_SHARE) * np.sin(2 * np.pi * exchange.hum_hz * time + rng.uniform(0, 2 * np.pi))
    level = 10 ** (rng.uniform(-30, -6) / 20)
    line = butter(4, BAND_HZ, "bandpass", fs=RATE, output="sos")
    return np.asarray(level * sosfilt(line, tone + crosstalk + noise + hum), dtype=np.float32)


def _key_press(digit: int, time: NDArray[np.float64], exchange: Exchange, rng: np.random.Generator) -> NDArray[np.float64]:
    twist_db = np.clip(exchange.twist_db + rng.uniform(-2, 2), -TWIST_DB, TWIST_DB)
    return dual_tone(digit, time, float(twist_db), 1 + rng.uniform(-OFFSET, OFFSET, 2), rng.uniform(0, 2 * np.pi, 2))


def dual_tone(
    digit: int, time: NDArray[np.float64], twist_db: float, offset: NDArray[np.float64], phase: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The clean tone of a digit at `time`; `offset` and `phase` [2] are of the low and the high sinusoid."""
    low_hz, high_hz = LOW_HZ[digit] * offset[0], HIGH_HZ[digit] * offset[1]
    low = np.sin(2 * np.pi * low_hz * time + phase[0])
    high = np.sin(2 * np.pi * high_hz * time + phase[1])
    tone: NDArray[np.float64] = low * 10 ** (-twist_db / 40) + high * 10 ** (twist_db / 40)
    return tone


TONE = Reader("tone", 3, build, salt=str([astuple(exchange) for exchange in EXCHANGES]))
