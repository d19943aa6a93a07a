"""Single files: what they hold comes out, and whatever else they hold is told as an error of the user's."""

from __future__ import annotations

import io
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from client_app import files
from client_app.files import SUFFIXES, kind_of, look_of
from concord.errors import ConcordError


def image_file(path: Path, levels_HW: object, mode: str | None = None, **options: object) -> Path:
    Image.fromarray(np.asarray(levels_HW), mode).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".gif", ".webp", ".jpg"])
def test_a_picture_has_the_colours_of_its_file(tmp_path: Path, suffix: str) -> None:
    colours_HW3 = np.full((8, 12, 3), (200, 100, 50), np.uint8)
    path = image_file(tmp_path / f"a{suffix}", colours_HW3)
    picture = files.read("image", path)
    assert picture.shape == (8, 12, 3)
    assert picture.dtype == np.uint8
    assert np.abs(picture.astype(int) - colours_HW3).max() <= 8
    assert look_of("image")(path) == "12 x 8"


def test_sixteen_bits_are_scaled_to_eight(tmp_path: Path) -> None:
    levels_HW = np.array([[0, 256 * 100], [256 * 200, 2**16 - 1]], np.uint16)
    assert files.read("image", image_file(tmp_path / "a.png", levels_HW))[..., 0].tolist() == [[0, 100], [200, 255]]


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    colours_HW4 = np.array([[[255, 0, 0, 255], [255, 0, 0, 0]]], np.uint8)
    assert files.read("image", image_file(tmp_path / "a.png", colours_HW4)).tolist() == [[[255, 0, 0], [255, 255, 255]]]


def test_a_photograph_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    path = image_file(tmp_path / "a.png", np.zeros((4, 9, 3), np.uint8), exif=exif)
    assert files.read("image", path).shape == (9, 4, 3)


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_a_recording_is_the_mean_of_its_channels(tmp_path: Path, suffix: str) -> None:
    samples_TK = np.random.default_rng(0).uniform(-0.9, 0.9, (500, 2))
    soundfile.write(tmp_path / f"a{suffix}", samples_TK, 11_025)
    wave = files.read("audio", tmp_path / f"a{suffix}")
    assert wave.rate == 11_025
    assert wave.samples.dtype == np.float32
    np.testing.assert_allclose(wave.samples, samples_TK.mean(1), atol=1e-4)
    assert look_of("audio")(tmp_path / f"a{suffix}") == "11025 Hz"


def test_a_text_is_stripped(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\ufeff  Grüße\n", encoding="utf-8")
    assert files.read("text", tmp_path / "a.txt") == "Grüße"


def test_a_series_has_a_column_a_channel(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(6.0).reshape(3, 2))
    np.savez(tmp_path / "b.npz", x=np.arange(4))
    assert files.read("series", tmp_path / "a.npy").tolist() == [[0, 1], [2, 3], [4, 5]]
    assert files.read("series", tmp_path / "b.npz").shape == (4, 1)
    assert look_of("series")(tmp_path / "a.npy") == "3 x 2"


def wav(samples: object, rate: int = 8000, **options: object) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, np.asarray(samples, np.float32), rate, format="WAV", **options)
    return stream.getvalue()


def npy(array: object) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.asarray(array))
    return stream.getvalue()


def npz(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            about = zipfile.ZipInfo(f"{name}.npy")  # of no time, so that the bytes are the same in every run
            about.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(about, content)
    return stream.getvalue()


def png(width: int, height: int) -> bytes:
    stream = io.BytesIO()
    Image.new("1", (width, height)).save(stream, "PNG")
    return stream.getvalue()


HUGE_SHAPE = npy(np.zeros(1)).replace(b"(1,), }", b"(%d,), }" % 10**14)[:4000]


@pytest.mark.parametrize(
    ("kind", "content", "why"),
    [
        *((kind, b"", "") for kind in SUFFIXES),
        *((kind, b"<html>not found</html>" * 9, "") for kind in ("image", "audio", "series")),
        ("image", png(40, 40)[:45], ""),
        ("image", png(9000, 9000), "at most"),
        ("image", wav([0.1]), "no picture"),
        ("audio", png(4, 4), ""),
        ("audio", wav(np.zeros((0, 1))), "values are read"),
        ("audio", wav([0.1, np.nan], subtype="FLOAT"), "not a number"),
        ("audio", wav([0.1], rate=10), "10 samples a second"),
        ("text", b"\xff\xfe\x00", "utf-8"),
        ("text", b" \n", "no text"),
        ("text", b"a" * (2**22 + 1), "bytes"),
        ("series", npy([1.0, np.inf]), "not a number"),
        ("series", npy(np.zeros((2, 2, 2))), "numbers"),
        ("series", npy(["a"]), "numbers"),
        ("series", npz(a=npy([1]), b=npy([2])), ""),
        ("series", npz(a=npy(np.zeros(2**25))), "bytes"),
        ("series", HUGE_SHAPE, "numbers"),
        ("series", npz(a=HUGE_SHAPE), "numbers"),
    ],
    ids=lambda value: value if isinstance(value, str) else "file",  # contents have the time in them
)
def test_a_file_that_is_no_sample_is_told(tmp_path: Path, kind: str, content: bytes, why: str) -> None:
    path = tmp_path / "sample"
    path.write_bytes(content)
    with pytest.raises(ConcordError, match="C206") as told:
        files.read(kind, path)
    assert str(path) in told.value.message
    assert why in told.value.message


@pytest.mark.parametrize("kind", SUFFIXES)
def test_a_file_that_is_not_there_is_told(tmp_path: Path, kind: str) -> None:
    for read in (look_of(kind), lambda path: files.read(kind, path)):
        with pytest.raises(ConcordError, match="C206"):
            read(tmp_path / "nowhere")


GOOD = {"image": png(5, 5), "audio": wav([0.1, 0.2]), "series": npz(a=npy([[1.0, 2.0]]))}


@given(kind=st.sampled_from(sorted(GOOD)), at=st.integers(0, 400), byte=st.integers(0, 255), kept=st.integers(0, 400))
def test_damage_gives_a_sample_or_an_error_of_the_users(
    tmp_path_factory: pytest.TempPathFactory, kind: str, at: int, byte: int, kept: int
) -> None:
    content = bytearray(GOOD[kind])
    content[at % len(content)] = byte
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(bytes(content[: len(content) - kept % 40]))
    for read in (look_of(kind), lambda file: files.read(kind, file)):
        with suppress(ConcordError):
            read(path)


def test_kinds_are_told_by_the_ends_of_names() -> None:
    assert {kind_of(f"a/b{suffix.upper()}") for suffix in SUFFIXES["image"]} == {"image"}
    assert kind_of("a.wav") == "audio"
    assert kind_of("README") is None
