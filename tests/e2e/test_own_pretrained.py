"""Own data through pretrained models: frozen tokenisers of two modalities and a pretrained trunk behind them, two nodes."""

from __future__ import annotations

from pathlib import Path

import pytest
from own_data import CONCEPTS, write_pictures
from tiny_pretrained import save_tiny
from tiny_run import TINY

from client_app.app import app
from client_app.data.own.anchors import build_anchors, public_folder
from client_app.pretrained import frozen
from concord import load_model
from concord.anchors import save_anchors
from concord.config import parse_config
from concord.own import with_encoders
from server_app.in_process import InProcessGrid
from server_app.results import Result
from server_app.run import open_run

NOTES = '[modality.notes]\nkind = "text"\ntable = "notes.csv"\n'


def write_notes(folder: Path, each: int) -> Path:
    """Notes in which one word tells the concept."""
    words = dict(zip(CONCEPTS, ("w1", "w2", "w3"), strict=True))
    rows = [f"w{10 + n % 20} {word} w{10 + n % 7},{concept}" for concept, word in words.items() for n in range(each)]
    folder.mkdir(parents=True)
    (folder / "notes.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    (folder / "dataset.toml").write_text(NOTES)
    return folder


def test_a_run_on_frozen_encoders_and_a_pretrained_trunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCORD_CACHE", str(tmp_path / "cache"))
    bert, vit = save_tiny(tmp_path / "bert", "bert"), save_tiny(tmp_path / "vit", "vit")
    public = {
        "notes": public_folder(write_notes(tmp_path / "public/notes", 4), "notes"),
        "sign": public_folder(write_pictures(tmp_path / "public/sign", 4, seed=2), "sign"),
    }
    anchors = build_anchors(public, {"notes": f"frozen:{bert}", "sign": f"frozen:{vit}"}, (), 4, seed=0)
    save_anchors(anchors, tmp_path / "anchors")
    write_notes(tmp_path / "data/clinic", 20)
    write_pictures(tmp_path / "data/school", 16)
    settings = {"suite": "own", "data": str(tmp_path / "data"), "anchors": str(tmp_path / "anchors"), "model.trunk": bert}

    def run(name: str) -> Result:
        folder = {"run-folder": str(tmp_path / name), "local-steps": 20}
        config = with_encoders(parse_config({**TINY, **settings, **folder}), anchors)
        return open_run(config, InProcessGrid(app, config.flat(), 2)).rounds()

    result = run("first")
    assert result.rejections == []
    assert result.accuracy["random"]["notes"].accuracy > 0.6  # a third by chance
    assert load_model(tmp_path / "first").classify({"notes": ["w12 w3 w11"]}).shape == (1, 3)

    def no_model(name: str) -> None:
        raise AssertionError(f"{name} is loaded, and all that it would give is on the disk")

    monkeypatch.setattr(frozen, "_loaded", no_model)
    assert run("again").accuracy == result.accuracy
