"""Files of single samples: what common programs write is read as it looks and sounds, and what is not sound is told."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from client_app import files
from concord.errors import ConcordError


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff"])
def test_a_picture_is_read_as_it_was_written(suffix: str, tmp_path: Path) -> None:
    picture_HW3 = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    Image.fromarray(picture_HW3).save(tmp_path / f"a.{suffix}")
    assert np.array_equal(files.read("image", tmp_path / f"a.{suffix}"), picture_HW3)


def test_what_is_transparent_is_white_and_what_lies_on_its_side_is_turned(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 2), (9, 9, 9, 0)).save(tmp_path / "clear.png")
    assert (np.asarray(files.read("image", tmp_path / "clear.png")) == 255).all()
    turned = Image.new("RGB", (4, 2))
    exif = turned.getexif()
    exif[0x0112] = 6  # orientation: a quarter turn
    turned.save(tmp_path / "turned.jpg", exif=exif)
    assert np.asarray(files.read("image", tmp_path / "turned.jpg")).shape == (4, 2, 3)


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_a_recording_is_the_mean_of_its_channels(suffix: str, tmp_path: Path) -> None:
    left, right = np.full(100, 0.5), np.full(100, -0.25)
    soundfile.write(tmp_path / f"a.{suffix}", np.stack([left, right], 1), 16_000)
    wave = files.read("audio", tmp_path / f"a.{suffix}")
    assert wave.rate == 16_000
    assert wave.samples.dtype == np.float32
    assert np.allclose(wave.samples, 0.125, atol=1e-4)


def claims(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims a size."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    end = b"IEND"
    chunks = b"".join(struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, b"IDAT", end))
    return b"\x89PNG\r\n\x1a\n" + chunks


BAD: dict[str, tuple[str, bytes]] = {
    "an empty picture": ("image", b""),
    "no picture": ("image", b"two plus two"),
    "a picture that breaks off": ("image", claims(30, 30)[:40]),
    "a picture of terabytes": ("image", claims(1 << 20, 1 << 20)),
    "no recording": ("audio", b"RIFF"),
    "an empty recording": ("audio", b""),
    "a sample that is a row": ("table", b"two"),
}


@pytest.mark.parametrize(("kind", "content"), BAD.values(), ids=BAD.keys())
def test_what_cannot_be_read_is_told(kind: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ConcordError, match="C206 a sample cannot be read"):
        files.read(kind, tmp_path / "a")


def test_a_recording_of_nothing_or_of_no_numbers_is_told(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 8000)
    soundfile.write(tmp_path / "nan.wav", np.full(10, np.nan), 8000, subtype="FLOAT")
    for name in ("none.wav", "nan.wav", "missing.wav"):
        with pytest.raises(ConcordError, match="C206"):
            files.read("audio", tmp_path / name)
