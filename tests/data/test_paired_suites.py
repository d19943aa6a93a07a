"""The suites of pairs on the real packs: roles never overlap, shards cover, and missing modalities change nothing else."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest
import torch

from client_app.data.activity import PEOPLE, UNSEEN_PEOPLE
from client_app.data.federation import Federation, build_federation
from client_app.data.registry import find_suite
from client_app.data.suite import PairedSuite
from concord.errors import ConcordError
from concord.samples import Samples, concatenate

SHAPES = {"accelerometer": (125, 15), "gyroscope": (125, 15), "magnetometer": (125, 15), "image": (26, 26), "pen": (32, 3)}
RANGES = {"accelerometer": (-15, 15), "gyroscope": (-30, 30), "magnetometer": (-3, 3), "image": (0, 1), "pen": (-1, 1)}
NODES = {"activity": 18, "activity-validation": 15, "strokes": 15}
ACTIVITY = ["labelled", "missing=0.3", "missing=0.5", "skew=0.3", "missing=0.5+skew=0.1"]
CASES = (
    [("strokes", "labelled", seed) for seed in (0, 3)]
    + [("activity-validation", "missing=0.5", 100)]
    + [("activity", text, seed) for text in ACTIVITY for seed in (0, 3)]
)


@pytest.fixture(scope="module")
def data(request: pytest.FixtureRequest) -> Path:
    request.getfixturevalue("omniglot")
    folder: Path = request.getfixturevalue("dsads")
    return folder


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]}-{case[1]}-{case[2]}")
def federation(request: pytest.FixtureRequest, data: Path) -> Federation:
    suite, scenario, seed = request.param
    return build_federation(suite, data, seed, scenario)


def every_part(federation: Federation) -> list[Samples]:
    parts = [federation.anchors.of(m) for m in federation.modalities]
    for node in federation.nodes:
        parts += [*node.train.values(), *(samples for tests in node.tests.values() for samples in tests.values())]
    return parts


def trained(federation: Federation) -> list[str]:
    """The ids that nodes train on, each once a node."""
    return [i for node in federation.nodes for i in next(iter(node.train.values())).ids]


def examined(federation: Federation, split: str, modality: str) -> list[str]:
    return [i for node in federation.nodes if modality in node.tests[split] for i in node.tests[split][modality].ids]


def joint(federation: Federation, split: str) -> list[str]:
    return [i for node in federation.nodes for i in node.joint[split]]


def held(federation: Federation) -> dict[str, set[str]]:
    return {node.name: set(node.train) for node in federation.nodes}


def person(i: str) -> str:
    return f"subject-{i.split('-')[1][1:]}"


def test_no_instance_has_two_roles_in_any_modality(federation: Federation) -> None:
    roles = [set(federation.anchors.of(m).ids) for m in federation.modalities]  # unpaired: other instances in each
    roles += [set(trained(federation)), *(set(joint(federation, split)) for split in ("random", "unseen"))]
    assert not any(a & b for a, b in combinations(roles, 2))
    assert len(trained(federation)) == len(set(trained(federation)))
    for m in federation.modalities:
        parts = [federation.anchors.of(m), *(node.train[m] for node in federation.nodes if m in node.train)]
        parts += [node.tests[split][m] for node in federation.nodes if m in node.train for split in node.tests]
        together = concatenate(parts)
        assert len({row.tobytes() for row in together.x.numpy()}) == len(together) == len(set(together.ids))


def test_the_modalities_of_a_node_are_views_of_the_same_instances(federation: Federation) -> None:
    label = {i: y for part in every_part(federation) for i, y in zip(part.ids, part.y.tolist(), strict=True)}
    for node in federation.nodes:
        first, *others = node.train.values()
        assert all(other.ids == first.ids and other.y.equal(first.y) for other in others)
    for part in every_part(federation):
        assert [label[i] for i in part.ids] == part.y.tolist()


def test_shards_are_disjoint_and_cover_in_each_modality_and_for_fused_predictions(federation: Federation) -> None:
    for split in ("random", "unseen"):
        everyone = joint(federation, split)
        assert len(everyone) == len(set(everyone))
        for m in federation.modalities:
            assert sorted(examined(federation, split, m)) == sorted(everyone)
        for node in federation.nodes:
            assert node.tests[split].keys() == node.train.keys()
            assert all(set(node.joint[split]) <= set(samples.ids) for samples in node.tests[split].values())


def test_what_a_node_lacks_is_tested_evenly_by_those_who_hold_it(federation: Federation) -> None:
    for split in ("random", "unseen"):
        for m in federation.modalities:
            holders = [node for node in federation.nodes if m in node.train]
            more = [len(node.tests[split][m]) - len(node.joint[split]) for node in holders]
            assert max(more) - min(more) <= 1
            assert len(holders) >= 2


def test_features_have_the_shape_type_and_range_of_their_modality(federation: Federation) -> None:
    for m in federation.modalities:
        parts = [federation.anchors.of(m)] + [node.train[m] for node in federation.nodes if m in node.train]
        x = concatenate(parts).x
        assert tuple(x.shape[1:]) == SHAPES[m]
        assert x.dtype == torch.float32
        assert x.isfinite().all()
        assert RANGES[m][0] <= float(x.min()) < float(x.max()) <= RANGES[m][1]


def test_sizes(federation: Federation) -> None:
    suite = find_suite(federation.suite)
    assert isinstance(suite, PairedSuite)
    assert len(federation.nodes) == NODES[federation.suite]
    assert all(min(map(len, node.train.values())) >= 32 for node in federation.nodes)
    for m in federation.modalities:
        assert federation.anchors.of(m).y.bincount().tolist() == [suite.anchors_per_concept] * len(suite.concepts)


def test_pooling_holds_what_all_nodes_hold(federation: Federation, request: pytest.FixtureRequest, data: Path) -> None:
    suite, scenario, seed = request.node.callspec.params["federation"]
    (pooled,) = build_federation(suite, data, seed, scenario, pooled=True).nodes
    for m in federation.modalities:
        assert pooled.train[m].ids == tuple(i for node in federation.nodes if m in node.train for i in node.train[m].ids)
    for split in ("random", "unseen"):
        assert list(pooled.joint[split]) == joint(federation, split)
        assert all(set(pooled.joint[split]) <= set(samples.ids) for samples in pooled.tests[split].values())


@pytest.mark.parametrize("seed", [0, 3])
def test_people_7_and_8_are_unseen_and_everyone_else_is_not(seed: int, dsads: Path) -> None:
    federation = build_federation("activity", dsads, seed, "missing=0.3")
    unseen = set(joint(federation, "unseen"))
    assert {person(i) for i in unseen} == set(UNSEEN_PEOPLE)
    assert len(unseen) == 2 * 19 * 15
    others = {i for part in every_part(federation) for i in part.ids} - unseen
    assert {person(i) for i in others} == set(PEOPLE)
    assert len(joint(federation, "random")) == 318
    assert len(trained(federation)) == 6 * 19 * 14 - 318
    for node in federation.nodes:
        assert {person(i) for i in trained(federation) if i in next(iter(node.train.values())).ids} == {node.name[:-2]}


def test_anchors_of_an_activity_are_of_other_people_in_each_sensor(dsads: Path) -> None:
    federation = build_federation("activity", dsads, 0, "labelled")
    given = [(person(i), y) for m in federation.modalities for i, y in pairs(federation.anchors.of(m))]
    assert Counter(given) == {(name, y): 1 for name in PEOPLE for y in range(19)}


def pairs(samples: Samples) -> list[tuple[str, int]]:
    return list(zip(samples.ids, samples.y.tolist(), strict=True))


@pytest.mark.parametrize("seed", [0, 3])
def test_missing_modalities_change_nothing_but_who_holds_them_and_are_nested(seed: int, dsads: Path) -> None:
    rates = [build_federation("activity", dsads, seed, f"missing={rate}") for rate in (0, 0.3, 0.5)]
    assert all(holds == {"accelerometer", "gyroscope", "magnetometer"} for holds in held(rates[0]).values())
    for less, more in combinations(rates, 2):
        assert less.anchors.digest == more.anchors.digest
        for one, other in zip(less.nodes, more.nodes, strict=True):
            assert one.name == other.name
            assert one.joint == other.joint
            assert other.train.keys() < one.train.keys() or other.train.keys() == one.train.keys()
            assert all(samples.ids == one.train[m].ids for m, samples in other.train.items())
    assert sum(map(len, held(rates[2]).values())) < sum(map(len, held(rates[1]).values())) < 54


def test_skew_deals_labels_unevenly_but_the_same_windows_to_the_same_people(dsads: Path) -> None:
    def classes_known(scenario: str) -> float:
        nodes = build_federation("activity", dsads, 0, scenario).nodes
        return sum(len(set(node.train["gyroscope"].y.tolist())) for node in nodes) / len(nodes)

    even, skewed = (build_federation("activity", dsads, 0, text) for text in ("labelled", "skew=0.1"))
    assert classes_known("labelled") == 19
    assert classes_known("skew=0.01") < classes_known("skew=0.1") < classes_known("skew=1") < classes_known("skew=100") + 1e-9
    assert sorted(trained(even)) == sorted(trained(skewed))
    assert all(sorted(joint(even, split)) == sorted(joint(skewed, split)) for split in ("random", "unseen"))
    assert even.anchors.digest == skewed.anchors.digest
    assert min(len(node.train["gyroscope"]) for node in skewed.nodes) >= 35


@pytest.mark.parametrize("suite", ["activity", "strokes"])
def test_the_same_seed_gives_the_same_federation_and_another_one_does_not(suite: str, data: Path) -> None:
    first = build_federation(suite, data, 0, "labelled")
    build_federation.cache_clear()
    again, other = (build_federation(suite, data, seed, "labelled") for seed in (0, 1))
    assert [[part.ids for part in every_part(f)] for f in (first, again)] == [[part.ids for part in every_part(first)]] * 2
    assert all(a.x.equal(b.x) for a, b in zip(every_part(first), every_part(again), strict=True))
    assert [node.joint for node in first.nodes] == [node.joint for node in again.nodes]
    assert trained(other) != trained(first)
    if suite == "activity":  # in strokes two drawers give all the anchors
        assert other.anchors.digest != first.anchors.digest


def test_drawers_of_images_paths_and_both(omniglot: Path) -> None:
    federation = build_federation("strokes", omniglot, 0, "labelled")
    assert Counter(tuple(node.train) for node in federation.nodes) == {("image",): 5, ("pen",): 5, ("image", "pen"): 5}
    drawers = {"unseen": {"d16", "d17", "d18"}, "random": {f"d{number:02}" for number in range(1, 16)}}
    for split, expected in drawers.items():
        assert {i.rpartition("-")[2] for i in joint(federation, split)} == expected


@pytest.mark.parametrize("suite", ["activity", "strokes"])
def test_missing_data_is_told(suite: str, tmp_path: Path) -> None:
    with pytest.raises(ConcordError, match=r"C201.*none is named"):
        build_federation(suite, None, 0, "labelled")
    with pytest.raises(ConcordError) as caught:
        build_federation(suite, tmp_path, 0, "labelled")
    assert caught.value.code == "C201"
    assert all(str(tmp_path / file.path) in caught.value.message for file in find_suite(suite).files)
