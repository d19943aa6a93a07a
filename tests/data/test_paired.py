"""Dealing out a small made-up suite of pairs: holdings, label skew, tests that cover, duplicates, anchors. Needs no pack."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from client_app.data.corpus import Corpus, Reader, make_corpus
from client_app.data.missing import drop_modalities
from client_app.data.paired import cut, deal, deal_pairs, distinct_instances, draw_shares, parts_to_test
from client_app.data.suite import Holder, PairedModality, PairedSuite
from concord.errors import ConcordError
from concord.samples import Samples
from concord.scenario import Scenario

VIEWS = ("sound", "sight", "smell")
OWNERS = ("ann", "ben", "cleo", "dan")
SEEDS = st.integers(0, 1000)
RATES = st.floats(0, 1, exclude_max=True)


def made_up(view: int = 0, count: int = 480) -> Corpus:
    """Instances of four owners and five classes, all different; the same ids in every view."""
    x = 1000 * view + torch.arange(count).float()[:, None]
    owners = [OWNERS[i % 4] for i in range(count)]
    return make_corpus(x, [i // 4 % 5 for i in range(count)], [f"made-up/{i}" for i in range(count)], owners)


CORPORA = {name: made_up(view) for view, name in enumerate(VIEWS)}
SUITE = PairedSuite(
    "made-up",
    "",
    "",
    "",
    tuple("abcde"),
    tuple(PairedModality(name, Reader(name, 1, lambda _: made_up())) for name in VIEWS),
    nodes={f"{owner}-{part}": Holder(owner, VIEWS) for owner in OWNERS[:3] for part in "xyz"},
    unseen=("dan",),
    anchors_per_concept=1,
    refused={},
)
COULD = {name: holder.modalities for name, holder in SUITE.nodes.items()}
ALL = np.arange(480)


@given(missing=RATES, skew=st.none() | st.floats(0.01, 100), seed=SEEDS)
def test_every_instance_has_one_role_and_is_tested_once_in_each_modality(missing: float, skew: float | None, seed: int) -> None:
    nodes, anchors = deal_pairs(SUITE, CORPORA, Scenario(missing=missing, skew=skew), seed)
    roles = [i for m in VIEWS for i in anchors[m].ids]
    roles += [i for node in nodes for i in next(iter(node.train.values())).ids]
    roles += [i for node in nodes for part in node.joint.values() for i in part]
    assert sorted(roles) == sorted(CORPORA["sound"].samples.ids)
    for split in ("random", "unseen"):
        whole = sorted(i for node in nodes for i in node.joint[split])
        for m in VIEWS:
            assert sorted(i for node in nodes if m in node.train for i in node.tests[split][m].ids) == whole
    for node in nodes:
        assert len({samples.ids for samples in node.train.values()}) == 1
        assert all(set(node.joint[split]) <= set(s.ids) for split, tests in node.tests.items() for s in tests.values())


@given(rates=st.lists(RATES, min_size=2, max_size=5).map(sorted), seed=SEEDS)
def test_what_is_missing_at_one_rate_is_missing_at_a_higher_one(rates: list[float], seed: int) -> None:
    held = [drop_modalities(COULD, rate, seed, SUITE.name) for rate in rates]
    for less, more in pairwise(held):
        assert all(set(more[name]) <= set(less[name]) for name in SUITE.nodes)
    for at_rate in held:
        assert all(at_rate.values())
        assert all(sum(m in modalities for modalities in at_rate.values()) >= 2 for m in VIEWS)


def test_nothing_is_missing_at_rate_0_and_about_as_much_as_is_said_at_others() -> None:
    assert set(drop_modalities(COULD, 0.0, 0, SUITE.name).values()) == {VIEWS}
    for rate, least, most in [(0.3, 0.25, 0.31), (0.5, 0.42, 0.48)]:  # never all: at 0.5 that is 0.5 - 0.125/3
        missing = [1 - len(held) / 3 for seed in range(200) for held in drop_modalities(COULD, rate, seed, SUITE.name).values()]
        assert least < float(np.mean(missing)) < most


@given(seed=SEEDS, skew=st.none() | st.floats(0.01, 100))
def test_parts_of_an_owner_are_even_without_skew_and_large_enough_with_it(seed: int, skew: float | None) -> None:
    dealt = deal(SUITE, CORPORA["sound"], ALL, skew, seed)
    for owner in OWNERS[:3]:
        sizes = [part.size for name, part in dealt.train.items() if name.startswith(owner)]
        assert max(sizes) - min(sizes) <= 1 if skew is None else min(sizes) >= sum(sizes) / 6


def test_skew_does_not_change_what_is_trained_on_and_tested() -> None:
    even, skewed = (deal(SUITE, CORPORA["sound"], ALL, skew, 5) for skew in (None, 0.1))
    for ours, theirs in ((even.train, skewed.train), (even.joint["random"], skewed.joint["random"])):
        assert sorted(np.concatenate([*ours.values()])) == sorted(np.concatenate([*theirs.values()]))


@given(sizes=st.lists(st.integers(0, 30), min_size=1, max_size=6), skew=st.floats(0.01, 100), seed=SEEDS)
def test_shares_are_of_each_label_and_cut_it_whole(sizes: list[int], skew: float, seed: int) -> None:
    begins = np.cumsum([0, *sizes])
    groups = {label: np.arange(begins[label], begins[label + 1]) for label in range(len(sizes))}
    share_CK = draw_shares(groups, 3, len(sizes), skew, np.random.default_rng(seed))
    assert share_CK.shape == (len(sizes), 3)
    assert share_CK.sum(1) == pytest.approx(1)
    parts = cut(groups, share_CK)
    assert len(parts) == 3
    assert sorted(np.concatenate(parts).tolist()) == list(range(sum(sizes)))


def test_shares_are_those_of_a_dirichlet_distribution() -> None:
    groups = {label: np.arange(100 * label, 100 * (label + 1)) for label in range(2000)}
    share_CK = draw_shares(groups, 3, 2000, 0.5, np.random.default_rng(0))
    assert share_CK.mean() == pytest.approx(1 / 3)
    assert share_CK.var(0) == pytest.approx(2 / 9 / (3 * 0.5 + 1), rel=0.1)  # (K - 1) / K^2 / (K A + 1)


def test_shares_are_even_where_no_draw_leaves_enough() -> None:
    share_CK = draw_shares({0: np.arange(3)}, 3, 1, 1e-3, np.random.default_rng(0))
    assert share_CK.tolist() == [[1 / 3] * 3]


def test_what_nodes_lack_is_dealt_evenly_to_those_who_hold_it() -> None:
    joint = {"a": np.array([0, 1]), "b": np.array([2, 3, 4]), "c": np.array([5])}
    tested = parts_to_test(joint, ["a", "c"])
    assert {name: part.tolist() for name, part in tested.items()} == {"a": [0, 1, 2, 4], "c": [3, 5]}
    assert parts_to_test(joint, ["a", "b", "c"])["b"].tolist() == [2, 3, 4]


def test_an_instance_that_equals_another_in_one_modality_is_left_out_in_all() -> None:
    def view(*values: float, ids: str = "abcd") -> Samples:
        return Samples(torch.tensor(values), torch.zeros(len(values), dtype=torch.int64), tuple(ids))

    assert distinct_instances([view(1, 2, 1, 4), view(5, 6, 7, 6)]).tolist() == [0, 1]
    assert distinct_instances([view(1, 2, 3, 4), view(4, 3, 2, 1)]).tolist() == [0, 1, 2, 3]  # another modality is no duplicate
    assert distinct_instances([view(1, 2, 3, 4, ids="abca")]).tolist() == [0, 1, 2]


def test_anchors_come_from_owners_of_their_own_or_from_different_owners_of_nodes() -> None:
    spread = deal(SUITE, CORPORA["sound"], ALL, None, 0).anchors
    for concept in range(5):
        assert {OWNERS[int(spread[m][concept]) % 4] for m in VIEWS} == set(OWNERS[:3])
    own = replace(SUITE, modalities=tuple(replace(m, anchors=("dan",)) for m in SUITE.modalities[:1]), unseen=())
    assert {int(i) % 4 for i in deal(own, CORPORA["sound"], ALL, None, 0).anchors["sound"]} == {3}


def test_a_node_without_training_samples_is_told() -> None:
    nobody = replace(SUITE, nodes={**SUITE.nodes, "eve-x": Holder("eve", VIEWS)})
    with pytest.raises(ConcordError, match=r"C203.*eve-x"):
        deal_pairs(nobody, CORPORA, Scenario(), 0)


def test_modalities_of_other_instances_are_no_pairs() -> None:
    shifted = replace(made_up(1), owners=made_up().owners[::-1])
    with pytest.raises(ValueError, match="do not have the same instances"):
        deal_pairs(SUITE, CORPORA | {"sight": shifted}, Scenario(), 0)
