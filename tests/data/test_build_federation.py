"""Federations of the real suites: nothing leaks between anchors, training and tests, and scenarios hide what they say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from client_app.data.federation import Federation, build_federation, known_classes, suite_names
from client_app.data.node_data import NodeData
from client_app.data.registry import find_suite
from concord.errors import ConcordError
from concord.graphs import GRAPHS
from concord.samples import NO_LABEL, Samples, concatenate

SuiteAndData = tuple[str, Path | None]
SHAPES = {"speech": (64, 40), "tone": (64, 40), "image": (28, 28), "pen": (32, 3), "sign": (32, 32), "word": (24,)}
RANGES = {"speech": (-20, 20), "tone": (-20, 20), "image": (0, 1), "pen": (-1, 1), "sign": (0, 1), "word": (0, 2047)}


def train_of(federation: Federation, modality: str) -> Samples:
    return concatenate([node.train[modality] for node in federation.nodes if modality in node.train])


def held_out(federation: Federation, split: str, modality: str) -> Samples:
    return concatenate([node.tests[split][modality] for node in federation.nodes if modality in node.tests[split]])


def parts_of(federation: Federation, modality: str) -> dict[str, Samples]:
    return {
        "anchors": federation.anchors.of(modality),
        "train": train_of(federation, modality),
        "random": held_out(federation, "random", modality),
        "unseen": held_out(federation, "unseen", modality),
    }


def inputs(samples: Samples) -> set[bytes]:
    return {row.tobytes() for row in samples.x.numpy()}


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_no_sample_is_in_two_places(suite: SuiteAndData, seed: int) -> None:
    federation = build_federation(*suite, seed=seed, scenario="labelled")
    for modality in federation.modalities:
        parts = list(parts_of(federation, modality).values())
        ids = [name for part in parts for name in part.ids]
        assert len(ids) == len(set(ids))
        assert len(set.union(*map(inputs, parts))) == len(ids)  # no equal inputs under different names either


def test_features_have_the_shape_type_and_range_of_their_modality(federation: Federation) -> None:
    for modality in federation.modalities:
        low, high = RANGES[modality]
        for part in parts_of(federation, modality).values():
            assert tuple(part.x.shape[1:]) == SHAPES[modality]
            assert part.x.dtype == (torch.int64 if modality == "word" else torch.float32)
            assert torch.isfinite(part.x).all()
            assert part.x.min() >= low
            assert part.x.max() <= high
            assert set(part.y.tolist()) == set(range(10))


def test_there_are_ten_anchors_of_each_concept(federation: Federation) -> None:
    for modality in federation.modalities:
        assert federation.anchors.of(modality).y.bincount().tolist() == [10] * 10


def test_owners_of_nodes_anchors_and_unseen_tests_do_not_overlap(suite: SuiteAndData, federation: Federation) -> None:
    for modality in find_suite(suite[0]).modalities:
        corpus = modality.reader.build(suite[1] or Path())
        owner_of = dict(zip(corpus.samples.ids, corpus.owners, strict=True))
        owners = {name: {owner_of[i] for i in part.ids} for name, part in parts_of(federation, modality.name).items()}
        assert not owners["unseen"] & owners["train"]
        assert not owners["unseen"] & owners["anchors"]
        assert owners["random"] <= owners["train"]
        assert not modality.anchors or not owners["anchors"] & owners["train"]
        declared = {*(o for group in modality.nodes.values() for o in group), *modality.unseen, *modality.anchors}
        assert declared == set(corpus.owners)  # no owner is misspelt or forgotten


def test_pooling_holds_what_all_nodes_hold(suite: SuiteAndData, federation: Federation) -> None:
    pooled = build_federation(*suite, seed=0, scenario="labelled", pooled=True)
    assert [node.name for node in pooled.nodes] == ["centralised"]
    assert pooled.anchors.digest == federation.anchors.digest
    for modality in federation.modalities:
        for name, part in parts_of(federation, modality).items():
            assert parts_of(pooled, modality)[name].ids == part.ids


def test_sizes_keep_sweeps_cheap(federation: Federation) -> None:
    assert all(len(samples) <= 1000 for node in federation.nodes for samples in node.train.values())
    for modality in federation.modalities:
        assert all(len(held_out(federation, split, modality)) <= 500 for split in ("random", "unseen"))


def test_the_same_seed_gives_the_same_federation_and_another_one_does_not(suite: SuiteAndData, federation: Federation) -> None:
    def fingerprint(of: Federation) -> list[object]:
        nodes = [(node.name, {m: s.ids for m, s in node.train.items()}, node_tests(node)) for node in of.nodes]
        return [of.anchors.digest, nodes]

    def node_tests(node: NodeData) -> dict[str, list[tuple[str, ...]]]:
        return {split: [samples.ids for samples in tests.values()] for split, tests in node.tests.items()}

    build_federation.cache_clear()
    assert fingerprint(build_federation(*suite, seed=0, scenario="labelled")) == fingerprint(federation)
    other = build_federation(*suite, seed=1, scenario="labelled")
    assert other.anchors.digest != federation.anchors.digest
    assert any(train_of(other, m).ids != train_of(federation, m).ids for m in federation.modalities)


def test_unlabelled_hides_the_training_labels_of_one_modality_only(suite: SuiteAndData, federation: Federation) -> None:
    for hidden in federation.modalities:
        unlabelled = build_federation(*suite, seed=0, scenario=f"unlabelled={hidden}")
        for modality in federation.modalities:
            parts, full = parts_of(unlabelled, modality), parts_of(federation, modality)
            assert (parts["train"].y == NO_LABEL).all() if modality == hidden else parts["train"].y.equal(full["train"].y)
            assert all(parts[name].ids == full[name].ids for name in parts)
            assert all(parts[name].y.equal(full[name].y) for name in ("anchors", "random", "unseen"))


def test_disjoint_labels_hide_a_different_part_in_each_modality(suite: SuiteAndData, federation: Federation) -> None:
    disjoint = build_federation(*suite, seed=0, scenario="disjoint-labels")
    known = []
    for modality in federation.modalities:
        train, full = train_of(disjoint, modality), train_of(federation, modality)
        labels = set(train.y.tolist()) - {NO_LABEL}
        assert len(labels) == 6
        assert train.ids == full.ids
        assert all(y == (true if true in labels else NO_LABEL) for y, true in zip(train.y.tolist(), full.y.tolist(), strict=True))
        assert set(held_out(disjoint, "unseen", modality).y.tolist()) == set(range(10))
        known.append(labels)
    assert set.union(*known) == set(range(10))
    assert len({frozenset(labels) for labels in known}) == len(known)


@pytest.mark.parametrize("modalities", range(2, 9))
def test_known_classes_cover_all_for_any_number_of_modalities(modalities: int) -> None:
    known = torch.stack([known_classes(rank, modalities, 10) for rank in range(modalities)])
    assert known.sum(1).tolist() == [6] * modalities
    assert known.any(0).all()


def test_local_heads_have_the_data_of_labelled(suite: SuiteAndData, federation: Federation) -> None:
    local = build_federation(*suite, seed=0, scenario="local-heads")
    assert all(train_of(local, m).y.equal(train_of(federation, m).y) for m in federation.modalities)


def test_suites_are_known_without_data() -> None:
    agents = ("activity-agents", "activity-agents-three", "activity-agents-validation")
    assert suite_names() == ("demo", "digits", "activity", "activity-validation", *agents, "strokes", "emoji", *GRAPHS)
    assert find_suite("digits").modality_names == ("speech", "image", "pen", "sign", "word")
    assert find_suite("demo").modality_names == ("image", "word", "tone")
    assert find_suite("activity").modality_names == ("accelerometer", "gyroscope", "magnetometer")
    assert find_suite("activity-agents").modality_names == ("accelerometer", "gyroscope")
    assert find_suite("activity-agents-three").modality_names == find_suite("activity").modality_names
    assert find_suite("strokes").modality_names == ("image", "pen")


def test_unknown_suites_and_scenarios_are_told() -> None:
    with pytest.raises(ConcordError, match=r"C204.*'tigits'"):
        build_federation("tigits", None, 0, "labelled")
    with pytest.raises(ConcordError, match=r"C204.*'odour'"):
        build_federation("demo", None, 0, "unlabelled=odour")


def test_missing_data_is_told_file_by_file(tmp_path: Path) -> None:
    with pytest.raises(ConcordError, match=r"C201.*none is named"):
        build_federation("digits", None, 0, "labelled")
    with pytest.raises(ConcordError) as caught:
        build_federation("digits", tmp_path, 0, "labelled")
    assert caught.value.code == "C201"
    assert all(f"{tmp_path / file.path}, from {file.origin}" in caught.value.message for file in find_suite("digits").files)
