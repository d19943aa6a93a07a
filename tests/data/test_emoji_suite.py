"""Suite `emoji`: who holds which concepts, files that are not what they must be, and the encoder of colour pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from client_app.data.emoji import EMOJI_SUITE, SUBGROUPS
from client_app.data.federation import Federation, build_federation
from client_app.data.readers.emoji import CONCEPTS, EMOJI, NAMES, PARTS, concept_of, parts_of
from client_app.encoders import ENCODERS


@pytest.fixture(scope="module")
def emoji(emoji_pack: Path) -> Federation:
    return build_federation("emoji", emoji_pack, 0, "labelled")


def concepts_of(federation: Federation, modality: str, role: str) -> set[int]:
    """Concepts that the nodes of a modality train on, or that are asked for in the unseen test."""
    parts = [n.train[modality] if role == "train" else n.tests[role][modality] for n in federation.nodes if modality in n.train]
    return {concept_of(i) for part in parts for i in part.ids}


def test_no_concept_is_known_in_two_modalities_and_none_of_the_held_out_is_known_at_all(emoji: Federation) -> None:
    trained = [concepts_of(emoji, m, "train") for m in emoji.modalities]
    held_out = set.union(*(concepts_of(emoji, m, "unseen") for m in emoji.modalities))
    public = {concept_of(i) for samples in emoji.anchors.modalities.values() for i in samples.ids}
    roles = [*trained, held_out, public]
    assert sum(map(len, roles)) == len(set.union(*roles))
    assert all(len(role) > 100 for role in roles)


def test_the_held_out_concepts_are_there_to_be_found(emoji: Federation) -> None:
    noto, fx, text = (concepts_of(emoji, m, "unseen") for m in ("noto", "fx", "text"))
    assert fx < noto
    assert text < noto
    assert len(text) > 100


def test_the_subgroups_are_named_as_in_the_pack(emoji_pack: Path) -> None:
    with np.load(emoji_pack / EMOJI.path, allow_pickle=False) as arrays:
        assert tuple(arrays["subgroup_names"].tolist()) == SUBGROUPS == EMOJI_SUITE.concepts


def test_every_part_has_as_much_of_each_subgroup_as_any_other() -> None:
    subgroup_C = np.random.default_rng(0).integers(0, 7, 500)
    part_C = parts_of(subgroup_C)
    for subgroup in range(7):
        counts = np.bincount(part_C[subgroup_C == subgroup], minlength=PARTS)
        assert counts.max() - counts.min() <= 1
    assert np.bincount(part_C).tolist() == [50] * PARTS


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["{}"], "KeyError"),
        (["[]"], "cannot be read"),
        (['{"text": {"en": []}}'], "IndexError"),
        (['{"text": {"en": 3}}'], "cannot be read"),
        (["{"], "JSONDecodeError"),
        (["[" * 100_000], "RecursionError"),
        ([json.dumps({"text": {"en": ["a", []]}})], "1 lines"),
        ([json.dumps({"text": {"de": ["a", []]}})] * CONCEPTS, "no name in English"),
    ],
)
def test_a_file_of_names_that_is_not_one_is_told(lines: list[str], told: str, tmp_path: Path) -> None:
    (tmp_path / "text.jsonl").write_text("\n".join(lines))
    assert any(told in problem for problem in NAMES.problems(tmp_path / "text.jsonl"))


def test_pictures_of_other_colours_are_other_tokens_and_views_keep_their_shape() -> None:
    encoder = ENCODERS["picture"]
    generator = torch.Generator().manual_seed(0)
    red_BCHW = torch.zeros(4, 3, 32, 32)
    red_BCHW[:, 0] = 1
    tokeniser = encoder.build(8)
    assert not torch.allclose(tokeniser(red_BCHW).embeds_BLD, tokeniser(red_BCHW.flip(1)).embeds_BLD, atol=0.1)
    assert torch.equal(encoder.augment(red_BCHW, 0.0, generator), red_BCHW)
    view_BCHW = encoder.augment(red_BCHW, 1.0, generator)
    assert view_BCHW.shape == red_BCHW.shape
    assert not torch.equal(view_BCHW[0], view_BCHW[1]), "each has a view of its own"
