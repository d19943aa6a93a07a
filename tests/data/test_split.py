"""Dealing out a small made-up corpus: duplicates, contradictions, even draws, shards, and both kinds of anchors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from client_app.data import federation
from client_app.data.corpus import Corpus, Reader, make_corpus
from client_app.data.split import distinct, draw_evenly, roles, shard, split
from client_app.data.suite import Modality, Suite
from concord.errors import ConcordError

OWNERS = ("ann", "ben", "cleo", "dan")


def made_up(count: int = 400, classes: int = 2) -> Corpus:
    """Samples 0, 1, 2, ...; owners and classes take turns."""
    owners = [OWNERS[i % 4] for i in range(count)]
    return make_corpus(
        torch.arange(count).float().unsqueeze(1), [i // 4 % classes for i in range(count)], list(map(str, range(count))), owners
    )


def modality(anchors: tuple[str, ...] = ("cleo",)) -> Modality:
    reader = Reader("made-up", 1, lambda _: made_up())
    return Modality("made-up", reader, {"a": ("ann",), "b": ("ben",)}, unseen=("dan",), anchors=anchors)


def test_equal_features_count_once_and_the_first_role_keeps_them() -> None:
    x = torch.tensor([[1.0], [1.0], [2.0], [2.0], [3.0], [3.0]])
    corpus = make_corpus(x, [0, 0, 1, 1, 1, 0], list("abcdef"), ["dan", "ann", "dan", "cleo", "ann", "ben"])
    kept = {role: index.tolist() for role, index in distinct(corpus, roles(modality())).items()}
    assert kept == {"a": [1], "anchors": [3]}  # e and f disagree on the label of 3.0: neither is kept


def test_an_owner_cannot_have_two_roles() -> None:
    with pytest.raises(ValueError, match="'ann' is both a and unseen"):
        roles(replace(modality(), unseen=("ann",)))


def test_owners_without_a_role_are_not_used() -> None:
    dealt = split(made_up(), replace(modality(), unseen=()), 2, seed=0)
    assert len(dealt.unseen) == 0
    assert not any(int(i) % 4 == 3 for part in (dealt.anchors, *dealt.train.values(), *dealt.random.values()) for i in part.ids)


def test_anchors_come_from_their_owners_or_are_spread_over_the_nodes() -> None:
    own = split(made_up(), modality(), 2, seed=0).anchors
    assert {int(i) % 4 for i in own.ids} == {2}
    spread = split(made_up(), modality(anchors=()), 2, seed=0).anchors
    assert np.bincount([int(i) % 4 for i in spread.ids]).tolist() == [10, 10]
    assert own.y.bincount().tolist() == spread.y.bincount().tolist() == [10, 10]


def test_the_official_test_of_a_pack_is_the_random_test() -> None:
    corpus = made_up()
    official = torch.arange(len(corpus.samples)) < 40
    dealt = split(replace(corpus, official_test=official), modality(anchors=()), 2, seed=0)
    tested = {int(i) for part in dealt.random.values() for i in part.ids}
    assert tested == {i for i in range(40) if i % 4 < 2}
    assert not tested & {int(i) for part in (dealt.anchors, *dealt.train.values()) for i in part.ids}


@given(strata=st.lists(st.integers(0, 4), max_size=40), count=st.integers(0, 50), seed=st.integers(0, 9))
def test_even_draws_differ_by_one_at_most_unless_a_stratum_runs_out(strata: list[int], count: int, seed: int) -> None:
    index = np.arange(100, 100 + len(strata))
    drawn = draw_evenly(index, strata, count, np.random.default_rng(seed))
    assert len(drawn) == len(set(drawn.tolist())) == min(count, len(strata))
    taken = [sum(strata[i - 100] == stratum for i in drawn) for stratum in range(5)]
    left = [strata.count(stratum) - took for stratum, took in enumerate(taken)]
    assert all(max(taken) - took <= 1 for took, more in zip(taken, left, strict=True) if more)


@given(count=st.integers(0, 30), parts=st.integers(1, 6))
def test_shards_are_disjoint_and_cover(count: int, parts: int) -> None:
    samples = made_up(count).samples
    names = [name for part in range(parts) for name in shard(samples, part, parts).ids]
    assert sorted(names) == sorted(samples.ids)


def test_a_node_without_training_samples_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    empty = replace(modality(), reader=Reader("empty", 1, lambda _: made_up()), nodes={"a": ("ann",), "nobody": ("eve",)})
    suite = Suite("bare", "", "", "", ("zero", "one"), (empty,))
    monkeypatch.setenv("CONCORD_CACHE", str(tmp_path))
    monkeypatch.setattr(federation, "find_suite", lambda _: suite)
    with pytest.raises(ConcordError, match=r"C203.*made-up-nobody"):
        federation.build_federation("bare", None, 0, "labelled")
