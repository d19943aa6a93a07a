"""Private state on a node's disk: the last two rounds, and one trunk base."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from client_app.node import node_folder
from client_app.store import NodeStore
from concord.errors import ConcordError


def state(value: float) -> dict[str, torch.Tensor]:
    return {"head/weight": torch.full((2, 3), value).T}  # not contiguous


def test_a_round_sees_what_was_kept_before_it_even_when_it_is_done_again(tmp_path: Path) -> None:
    store = NodeStore(tmp_path / "node")
    assert store.load_latest(before=1) is None
    for round_ in (1, 2, 3):
        store.save_round(round_, state(round_))
    for before, value in ((3, 2), (4, 3), (9, 3)):
        kept = store.load_latest(before=before)
        assert kept is not None
        assert torch.equal(kept["head/weight"], state(value)["head/weight"])
    assert store.load_latest(before=2) is None
    assert len(list((tmp_path / "node").iterdir())) == 2


def test_one_base_is_kept_and_its_digest_told(tmp_path: Path) -> None:
    store = NodeStore(tmp_path)
    assert store.base_digest() == ""
    for digest in ("a" * 64, "b" * 64):
        store.save_base(digest, state(1))
        assert (store.base_digest(), store.has_base(digest)) == (digest, True)
    assert not store.has_base("a" * 64)
    assert torch.equal(store.load_base("b" * 64)["head/weight"], state(1)["head/weight"])


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    store = NodeStore(tmp_path)
    store.save_round(1, state(1))
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"\xff" * 40)
    with pytest.raises(ConcordError, match=f"C502 .*{file.name}"):
        store.load_latest(before=2)


def test_runs_and_nodes_do_not_share_a_folder() -> None:
    assert node_folder("/runs/7", "", "speech-a") == Path("/runs/7/nodes/speech-a")
    assert node_folder("/runs/7", "/state", "speech-a") == Path("/state/7/speech-a")
