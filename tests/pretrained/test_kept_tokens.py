"""What frozen encoders gave is read from the disk again, whole or not at all."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_pretrained import raw_sample, save_tiny
from torch import Tensor

from client_app.pretrained import frozen
from client_app.pretrained.frozen import frozen_tokens
from client_app.pretrained.kept import KeptTokens

SHAPE = (3, 4)


def rows(count: int, begin: int = 0) -> dict[bytes, Tensor]:
    return {n.to_bytes(32, "big"): torch.full(SHAPE, float(n), dtype=torch.float16) for n in range(begin, begin + count)}


def same(read: dict[bytes, Tensor], expected: dict[bytes, Tensor]) -> bool:
    return read.keys() == expected.keys() and all(torch.equal(read[key], tokens) for key, tokens in expected.items())


def test_what_was_kept_is_read_by_key(tmp_path: Path) -> None:
    kept, given = KeptTokens(tmp_path / "new" / "kept.sqlite", SHAPE), rows(1200)  # more than one query
    assert kept.read(list(given)) == {}
    kept.write(given)
    kept.write(rows(10))  # again, by another process
    assert same(KeptTokens(kept.file, SHAPE).read([*given, b"unknown"]), given)
    assert KeptTokens(kept.file, (3, 5)).read(list(given)) == {}  # of another shape


def test_a_damaged_row_is_not_read(tmp_path: Path) -> None:
    kept, given = KeptTokens(tmp_path / "kept.sqlite", SHAPE), rows(40)
    kept.write(given)
    content = bytearray(kept.file.read_bytes())
    place = content.index(given[(7).to_bytes(32, "big")].numpy().tobytes())
    content[place + 5] ^= 1
    kept.file.write_bytes(content)
    assert same(kept.read(list(given)), {key: t for key, t in given.items() if key != (7).to_bytes(32, "big")})


@pytest.mark.parametrize("cut", [0, 50, 5000])
def test_a_file_that_is_cut_off_is_begun_anew(cut: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept, given = KeptTokens(tmp_path / "kept.sqlite", SHAPE), rows(400)
    kept.write(given)
    kept.file.write_bytes(kept.file.read_bytes()[:cut])
    with caplog.at_level(logging.WARNING):
        read = kept.read(list(given))
    assert same(read, {key: given[key] for key in read})  # what is still read is right
    assert len(read) < len(given)
    assert caplog.records
    kept.write(given)
    assert same(kept.read(list(given)), given)


def test_a_writer_that_is_killed_leaves_what_was_there_before(tmp_path: Path) -> None:
    kept, before = KeptTokens(tmp_path / "kept.sqlite", SHAPE), rows(50)
    kept.write(before)
    code = """
import os, sqlite3, sys
database = sqlite3.connect(sys.argv[1])
database.execute("PRAGMA cache_size = 1")  # rows reach the file before they count
database.executemany("INSERT INTO kept VALUES (?, ?)", ((n.to_bytes(32, "big"), b"half" * 2000) for n in range(50, 250)))
os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", code, str(kept.file)], check=False).returncode == -9
    assert kept.file.with_name("kept.sqlite-journal").exists()
    assert same(kept.read([*before, *rows(200, 50)]), before)


def test_many_processes_may_keep_tokens_at_once(tmp_path: Path) -> None:
    code = """
import sys, torch
from pathlib import Path
from client_app.pretrained.kept import KeptTokens
kept, begin = KeptTokens(Path(sys.argv[1]), (3, 4)), int(sys.argv[2])
for n in range(begin, begin + 20):
    kept.write({n.to_bytes(32, "big"): torch.full((3, 4), float(n), dtype=torch.float16)})
"""
    file = tmp_path / "kept.sqlite"
    writers = [subprocess.Popen([sys.executable, "-c", code, str(file), str(begin)]) for begin in (0, 20)]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert same(KeptTokens(file, SHAPE).read(list(rows(40))), rows(40))


def test_where_nothing_can_be_written_tokens_are_still_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    name = save_tiny(tmp_path / "bert", "bert")
    expected = frozen_tokens(name, [raw_sample("bert", 0)])
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("CONCORD_CACHE", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        assert torch.equal(frozen_tokens(name, [raw_sample("bert", 0)]), expected)
    assert "CONCORD_CACHE" in caplog.text


def test_a_sample_goes_through_the_model_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = save_tiny(tmp_path, "vit", seed=9)
    samples = [raw_sample("vit", seed) for seed in (0, 1, 0)]
    read: list[int] = []
    loaded = frozen.Loaded.tokens
    monkeypatch.setattr(frozen.Loaded, "tokens", lambda self, new: read.append(len(new)) or loaded(self, new))
    first, again = frozen_tokens(name, samples), frozen_tokens(name, samples)
    assert torch.equal(first, again)
    assert torch.equal(first[0], first[2])
    frozen_tokens(name, [*samples, raw_sample("vit", 2)])
    assert read == [2, 1]


def test_a_database_that_is_locked_for_good_is_told_and_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kept = KeptTokens(tmp_path / "kept.sqlite", SHAPE)
    kept.write(rows(1))
    monkeypatch.setattr("client_app.pretrained.kept.PATIENCE", 0.05)
    other = sqlite3.connect(kept.file)
    other.execute("BEGIN EXCLUSIVE")
    with caplog.at_level(logging.WARNING):
        assert kept.read(list(rows(1))) == {}
        kept.write(rows(1))
    other.close()
    assert len(caplog.records) == 2
    assert same(kept.read(list(rows(1))), rows(1))  # nothing was removed
