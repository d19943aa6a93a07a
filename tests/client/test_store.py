"""Private state on a node's disk: the last two rounds of each run, and one trunk base."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest
import torch

from client_app.node import node_folder
from client_app.store import NodeStore
from concord.errors import ConcordError

TOKEN, OTHER = "0" * 32, "1" * 32


def state(value: float) -> dict[str, torch.Tensor]:
    return {"head/weight": torch.full((2, 3), value).T}  # not contiguous


def test_a_round_sees_what_was_kept_before_it_even_when_it_is_done_again(tmp_path: Path) -> None:
    store = NodeStore(tmp_path / "node").rounds(TOKEN)
    assert store.load_latest(before=1) is None
    for round_ in (1, 2, 3):
        store.save(round_, state(round_))
    for before, value in ((3, 2), (4, 3), (9, 3)):
        kept = store.load_latest(before=before)
        assert kept is not None
        assert torch.equal(kept["head/weight"], state(value)["head/weight"])
    assert store.load_latest(before=2) is None
    assert len(list(store.folder.iterdir())) == 2


def test_a_round_that_is_done_again_drops_those_after_it(tmp_path: Path) -> None:
    store = NodeStore(tmp_path).rounds(TOKEN)
    for round_ in (7, 8, 3):
        store.save(round_, state(round_))
    kept = store.load_latest(before=9)
    assert kept is not None
    assert torch.equal(kept["head/weight"], state(3)["head/weight"])
    assert [file.name for file in store.folder.iterdir()] == ["round-000003.safetensors"]


def test_a_round_after_missed_ones_can_be_done_again(tmp_path: Path) -> None:
    store = NodeStore(tmp_path).rounds(TOKEN)
    for round_ in (1, 2, 5, 8):
        store.save(round_, state(round_))
    for before, value in ((8, 5), (9, 8)):
        kept = store.load_latest(before=before)
        assert kept is not None
        assert torch.equal(kept["head/weight"], state(value)["head/weight"])
    assert len(list(store.folder.iterdir())) == 2


def test_runs_of_the_same_name_see_nothing_of_each_other_but_the_base(tmp_path: Path) -> None:
    store = NodeStore(tmp_path)
    store.save_base("a" * 64, state(0))
    store.rounds(TOKEN).save(3, state(3))
    assert store.rounds(OTHER).load_latest(before=9) is None
    store.rounds(OTHER).save(1, state(1))
    assert store.rounds(TOKEN).load_latest(before=4) is not None
    assert store.base_digest() == "a" * 64


def test_what_is_private_is_for_the_owner_alone(tmp_path: Path) -> None:
    store = NodeStore(tmp_path).rounds(TOKEN)
    store.save(1, state(1))
    (file,) = store.folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_a_killed_process_left_goes_and_what_may_be_in_the_making_stays(tmp_path: Path) -> None:
    store = NodeStore(tmp_path).rounds(TOKEN)
    store.save(1, state(1))
    left, making = (store.folder / f".round-000002.safetensors.{pid}" for pid in (11, 12))
    for file, age in ((left, 7200), (making, 5)):
        file.touch()
        os.utime(file, (time.time() - age,) * 2)
    store.save(2, state(2))
    assert making.exists()
    assert not left.exists()


def test_one_base_is_kept_and_its_digest_told(tmp_path: Path) -> None:
    store = NodeStore(tmp_path)
    assert store.base_digest() == ""
    for digest in ("a" * 64, "b" * 64):
        store.save_base(digest, state(1))
        assert (store.base_digest(), store.has_base(digest)) == (digest, True)
    assert not store.has_base("a" * 64)
    assert torch.equal(store.load_base("b" * 64)["head/weight"], state(1)["head/weight"])


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    store = NodeStore(tmp_path).rounds(TOKEN)
    store.save(1, state(1))
    (file,) = store.folder.iterdir()
    file.write_bytes(b"\xff" * 40)
    with pytest.raises(ConcordError, match=f"C502 .*{file.name}"):
        store.load_latest(before=2)


def test_runs_and_nodes_do_not_share_a_folder() -> None:
    assert node_folder("/runs/7", "", "speech-a") == Path("/runs/7/nodes/speech-a")
    assert node_folder("/runs/7", "/state", "speech-a") == Path("/state/7/speech-a")
