"""Which encoder reads a modality: the usual one, or the one that the run names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_pretrained import save_tiny

from client_app.encoders import ENCODERS, encoder_of
from client_app.encoders.registry import DEFAULTS
from client_app.holdings import holdings_of, identity_of
from client_app.model import MultimodalModel
from client_app.pretrained.folder import find_pretrained
from concord.config import RunConfig, parse_config
from concord.errors import ConcordError
from concord.samples import Samples


def test_every_default_is_an_encoder() -> None:
    assert set(DEFAULTS.values()) <= set(ENCODERS)


def test_a_run_names_the_encoder_of_a_modality_of_its_own() -> None:
    config = parse_config({"encoders": "notes = word, scan=image"})
    assert config.encoder_names == {"notes": "word", "scan": "image"}
    model = MultimodalModel(config, ["notes", "scan", "speech"], 3)
    assert {m: e.identity for m, e in model.encoders.items()} == {
        "notes": "word-conv-1",
        "scan": "image-conv-1",
        "speech": "sound-conv-1",
    }
    notes = Samples(torch.zeros(1, 24), torch.zeros(1, dtype=torch.int64), ("a",))
    assert holdings_of(config, {"notes": notes})[0].encoder == "word-conv-1"


@pytest.mark.parametrize("text", ["notes", "notes=", "=word", "notes=word,notes=image"])
def test_encoders_that_cannot_be_read_are_told(text: str) -> None:
    with pytest.raises(ConcordError, match=r"C102.*encoders") as told:
        _ = RunConfig(encoders=text).encoder_names
    assert "modality=encoder" in told.value.hint


def test_a_modality_without_an_encoder_is_told_how_to_name_one() -> None:
    with pytest.raises(ConcordError, match=r"C204.*no encoder for modality 'notes'") as told:
        encoder_of(RunConfig(), "notes")
    assert "notes=NAME" in told.value.hint


def test_an_unknown_encoder_is_told() -> None:
    with pytest.raises(ConcordError, match=r"C204.*no encoder 'ears'"):
        encoder_of(RunConfig(encoders="speech=ears"), "speech")


def test_a_pretrained_trunk_is_part_of_what_parties_need_alike(tmp_path: Path) -> None:
    told = []
    for seed in (0, 0, 1):
        trunk = save_tiny(tmp_path / "trunk", "bert", seed)
        find_pretrained.cache_clear()
        told.append(identity_of(parse_config({"model.trunk": trunk}), "word"))
    plain = encoder_of(RunConfig(), "word").identity
    assert identity_of(RunConfig(), "word") == plain
    assert told[0] == told[1] != told[2]
    assert all(identity.startswith(f"{plain}, trunk {tmp_path}") for identity in told)
