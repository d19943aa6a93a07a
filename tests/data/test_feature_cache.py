"""The feature cache: used, renewed when its input or version changes, rebuilt when damaged, harmless when it cannot be."""

from __future__ import annotations

import logging
import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from client_app.data.cache import load_corpus
from client_app.data.corpus import Corpus, Reader, make_corpus
from client_app.data.packs import ArrayFile

FILE = ArrayFile("pack.bin", "nowhere", 0, "", {})


def corpus_of(data: Path) -> Corpus:
    content = (data / FILE.path).read_bytes()
    return make_corpus(
        torch.tensor(list(content)).float(), [0] * len(content), list(map(str, range(len(content)))), ["é"] * len(content)
    )


class Counted:
    """A builder that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, data: Path) -> Corpus:
        self.calls += 1
        return corpus_of(data)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CONCORD_CACHE", str(tmp_path / "cache"))
    (tmp_path / FILE.path).write_bytes(b"abc")
    return tmp_path


def cached_file(data: Path) -> Path:
    (path,) = (data / "cache").iterdir()
    return path


def test_features_are_built_once_and_come_back_unchanged(data: Path) -> None:
    reader = Reader("test", 1, builder := Counted(), (FILE,))
    first, second = load_corpus(reader, data), load_corpus(reader, data)
    assert builder.calls == 1
    assert second.samples.x.equal(first.samples.x)
    assert second.samples.ids == first.samples.ids
    assert second.owners == first.owners == ("é", "é", "é")
    assert second.official_test.equal(first.official_test)


def test_other_content_version_or_salt_is_built_anew(data: Path) -> None:
    reader = Reader("test", 1, builder := Counted(), (FILE,))
    load_corpus(reader, data)
    load_corpus(replace(reader, version=2), data)
    load_corpus(replace(reader, salt="1.2.3"), data)
    (data / FILE.path).write_bytes(b"abd")
    assert load_corpus(reader, data).samples.x.tolist() == [97, 98, 100]
    assert builder.calls == 4


@pytest.mark.parametrize("position", [0, 40, -1])
def test_a_damaged_cache_is_rebuilt(data: Path, position: int, caplog: pytest.LogCaptureFixture) -> None:
    reader = Reader("test", 1, builder := Counted(), (FILE,))
    expected = load_corpus(reader, data)
    content = bytearray(cached_file(data).read_bytes())
    content[position] ^= 0x41
    cached_file(data).write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert load_corpus(reader, data).samples.x.equal(expected.samples.x)
    assert "computed again" in caplog.text
    load_corpus(reader, data)
    assert builder.calls == 2


def test_a_truncated_cache_is_rebuilt(data: Path) -> None:
    reader = Reader("test", 1, builder := Counted(), (FILE,))
    load_corpus(reader, data)
    cached_file(data).write_bytes(cached_file(data).read_bytes()[:30])
    load_corpus(reader, data)
    assert builder.calls == 2


def test_without_a_folder_to_write_features_are_computed(
    data: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CONCORD_CACHE", str(data / FILE.path / "below-a-file"))
    assert len(load_corpus(Reader("test", 1, corpus_of, (FILE,)), data).samples) == 3
    assert "CONCORD_CACHE" in caplog.text


def test_several_processes_may_build_it_at_once(data: Path) -> None:
    reader = Reader("test", 1, corpus_of, (FILE,))
    with multiprocessing.get_context("fork").Pool(4) as pool:
        lengths = pool.starmap(_load_many, [(reader, data)] * 4)
    assert lengths == [60] * 4
    assert cached_file(data).suffix == ".safetensors"


def _load_many(reader: Reader, data: Path) -> int:
    return sum(len(load_corpus(reader, data).samples) for _ in range(20))
