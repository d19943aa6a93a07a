"""The folder of a node of pairs: all modalities and the joint test come back, and what does not agree is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from client_app.data.node_data import NodeData
from client_app.data.node_folder import JOINT, MANIFEST, Origin, load_node, save_node
from concord.anchors import AnchorSet
from concord.config import RunConfig
from concord.errors import ConcordError
from concord.samples import Samples

ORIGIN = Origin("activity", 0, "missing=0.3")
CONFIG = RunConfig(suite=ORIGIN.suite, scenario=ORIGIN.scenario)


def samples(ids: str, width: int) -> Samples:
    return Samples(torch.arange(len(ids) * width).reshape(-1, width).float(), torch.arange(len(ids)) % 2, tuple(ids))


def views(ids: str) -> dict[str, Samples]:
    return {"accelerometer": samples(ids, 3), "gyroscope": samples(ids, 2)}


NODE = NodeData(
    "subject-1-a",
    views("abcd"),
    {"random": views("efg"), "unseen": {"accelerometer": samples("hij", 3), "gyroscope": samples("hijk", 2)}},
    {"random": ("e", "g"), "unseen": ("h", "j")},
)
ANCHORS = AnchorSet(("sitting", "standing"), views("yz"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert save_node(tmp_path, NODE, ANCHORS, ORIGIN)
    return tmp_path


def test_what_was_dealt_comes_back(folder: Path) -> None:
    found, anchors = load_node(folder, CONFIG, pooled=False)
    assert anchors.digest == ANCHORS.digest
    assert (found.name, found.joint) == (NODE.name, NODE.joint)
    for ours, theirs in [(NODE.train, found.train), *((NODE.tests[split], found.tests[split]) for split in NODE.tests)]:
        assert ours.keys() == theirs.keys()
        for m in ours:
            assert ours[m].ids == theirs[m].ids
            assert ours[m].x.equal(theirs[m].x)
            assert ours[m].y.equal(theirs[m].y)
    assert not save_node(folder, NODE, ANCHORS, ORIGIN)


def rewrite(path: Path, *, ids: str = "", flip: bool = False) -> None:
    tensors = load_file(path)
    names = list(ids or "abcd")
    save_file({"x": tensors["x"], "y": 1 - tensors["y"] if flip else tensors["y"]}, path, {"ids": json.dumps(names)})


def edit(path: Path, change: Callable[[dict[str, object]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda f: (f / "train/gyroscope.safetensors").unlink(), r"train/gyroscope\.safetensors is missing"),
        (lambda f: (f / "tests/unseen/gyroscope.safetensors").unlink(), r"tests/unseen/gyroscope\.safetensors is missing"),
        (lambda f: (f / "train/gyroscope.safetensors").rename(f / "train/odour.safetensors"), "gyroscope.* is missing"),
        (lambda f: edit(f / MANIFEST, lambda m: m["paired"].remove("gyroscope")), "gyroscope.* is not named in node.json"),
        (lambda f: edit(f / MANIFEST, lambda m: m.update(paired="gyroscope")), "'paired' is no list of modalities"),
        (lambda f: rewrite(f / "train/gyroscope.safetensors", ids="abdc"), "gyroscope does not have the ids and labels"),
        (lambda f: rewrite(f / "train/gyroscope.safetensors", flip=True), "gyroscope does not have the ids and labels"),
        (lambda f: (f / JOINT).unlink(), "joint.json"),
        (lambda f: (f / JOINT).write_text("[]"), "joint.json"),
        (lambda f: (f / JOINT).write_text('{"random": 3, "unseen": []}'), "joint.json"),
        (lambda f: (f / JOINT).write_bytes(b"\xff"), "joint.json"),
        (lambda f: edit(f / JOINT, lambda j: j.pop("random")), r"has the splits \['unseen'\]"),
        (lambda f: edit(f / JOINT, lambda j: j["random"].append("h")), "random: 'h' is not among the tests of all"),
        (lambda f: edit(f / JOINT, lambda j: j["unseen"].append("k")), "unseen: 'k' is not among the tests of all"),
        (lambda f: edit(f / JOINT, lambda j: j["random"].append("e")), "an id is there twice"),
    ],
)
def test_a_damaged_folder_is_told(damage: Callable[[Path], object], told: str, folder: Path) -> None:
    damage(folder)
    with pytest.raises(ConcordError, match=f"(?s)C205.*{told}"):
        load_node(folder, CONFIG, pooled=False)
