"""Sign agreement, clusters and elected means, against loops over coordinates in plain Python.

Shapes: K nodes, P coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from concord.functional import signs
from concord.functional.signs import (
    clip_to_median,
    elected_mean,
    heaviest_cluster,
    sign_agreement,
    sign_clusters,
    weighted_mean,
    weighted_mean_norm,
)
from concord.functional.sparse import SparseUpdate, l2_norm, norm_ratio, top_k
from tests.random_matrices import normal

SIZE = 12
values = st.sampled_from([0.0, 0.0, 1.0, -1.0, 0.5, -2.0, 3.0])
tables = st.integers(1, 6).flatmap(lambda k: st.lists(st.lists(values, min_size=SIZE, max_size=SIZE), min_size=k, max_size=k))
weights_of = st.integers(1, 9)
Mean = Callable[[list[SparseUpdate], Tensor], SparseUpdate]


def sparse(rows: list[list[float]]) -> list[SparseUpdate]:
    return [top_k(torch.tensor(row), [len(row)], 1.0) for row in rows]


def sign(value: float) -> int:
    return (value > 0) - (value < 0)


def agreement_by_loop(rows: list[list[float]]) -> list[list[float]]:
    def between(a: list[float], b: list[float]) -> float:
        shared = [sign(x) * sign(y) for x, y in zip(a, b, strict=True) if x != 0 and y != 0]
        return sum(shared) / len(shared) if shared else 0.0

    return [[between(a, b) for b in rows] for a in rows]


def ties_by_loop(rows: list[list[float]], weights: list[int], over: str = "winners") -> list[float]:
    """TIES without clusters, dense."""
    mean = []
    for column in zip(*rows, strict=True):
        gamma = sign(sum(n * v for n, v in zip(weights, column, strict=True)))
        voters = [(n, v) for n, v in zip(weights, column, strict=True) if gamma != 0 and sign(v) == gamma]
        total = sum(weights) if over == "all" else sum(n for n, _ in voters)
        mean.append(sum(n * v for n, v in voters) / total if voters else 0.0)
    return mean


@st.composite
def weighted_tables(draw: st.DrawFn) -> tuple[list[list[float]], list[int]]:
    rows = draw(tables)
    return rows, draw(st.lists(weights_of, min_size=len(rows), max_size=len(rows)))


@pytest.fixture(params=[(1 << 18, 0.0), (7, 0.0), (1 << 18, 2.0), (7, 2.0)], ids=str)
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of all sizes; sparse and dense products."""
    entries, dense_share = request.param
    monkeypatch.setattr(signs, "BLOCK_ENTRIES", entries)
    monkeypatch.setattr(signs, "DENSE_SHARE", dense_share)


@pytest.mark.usefixtures("blocks")
@given(tables)
def test_agreement_matches_a_loop(rows: list[list[float]]) -> None:
    agreement_KK = sign_agreement(sparse(rows))
    torch.testing.assert_close(agreement_KK, torch.tensor(agreement_by_loop(rows), dtype=torch.float64))


@pytest.mark.usefixtures("blocks")
@given(weighted_tables())
@pytest.mark.parametrize("over", ["winners", "all"])
def test_election_matches_dense_ties(over: Literal["winners", "all"], table: tuple[list[list[float]], list[int]]) -> None:
    rows, weights = table
    elected = elected_mean(sparse(rows), torch.tensor(weights), over)
    torch.testing.assert_close(elected.dense(), torch.tensor(ties_by_loop(rows, weights, over)))
    assert (elected.value_K != 0).all()
    assert (elected.index_K.diff() > 0).all()


@pytest.mark.usefixtures("blocks")
@given(weighted_tables())
def test_weighted_mean_matches_numpy(table: tuple[list[list[float]], list[int]]) -> None:
    rows, weights = table
    mean = weighted_mean(sparse(rows), torch.tensor(weights))
    torch.testing.assert_close(mean.dense().numpy(), np.average(rows, axis=0, weights=weights).astype(np.float32))
    assert weighted_mean_norm(sparse(rows), torch.tensor(weights)) == pytest.approx(l2_norm(mean), rel=1e-5, abs=1e-12)


def test_blocks_of_a_large_group_join_without_gaps() -> None:
    updates = [top_k(normal(300_000, seed=k), [200_000, 100_000], 0.7) for k in range(3)]
    dense_KP = torch.stack([update.dense() for update in updates]).double()
    torch.testing.assert_close(weighted_mean(updates, torch.ones(3)).dense(), dense_KP.mean(dim=0).float())
    sign_KP = dense_KP.sign()
    torch.testing.assert_close(sign_agreement(updates), (sign_KP @ sign_KP.T) / (sign_KP.abs() @ sign_KP.abs().T))


@given(weighted_tables(), st.randoms(use_true_random=False))
def test_the_order_of_nodes_does_not_matter(table: tuple[list[list[float]], list[int]], random: np.random.Generator) -> None:
    rows, weights = table
    order = list(range(len(rows)))
    random.shuffle(order)
    updates, weight_K = sparse(rows), torch.tensor(weights)
    moved = [updates[k] for k in order]
    torch.testing.assert_close(sign_agreement(moved), sign_agreement(updates)[order][:, order])
    for mean in (elected_mean, weighted_mean):
        torch.testing.assert_close(mean(moved, weight_K[order]).dense(), mean(updates, weight_K).dense())


@pytest.mark.parametrize("mean", [elected_mean, weighted_mean])
@given(table=weighted_tables(), power=st.integers(-10, 10))
def test_scale_and_sign_pass_through(mean: Mean, table: tuple[list[list[float]], list[int]], power: int) -> None:
    rows, weights = table
    scale = -(2.0**power)
    scaled, weight_K = sparse([[scale * v for v in row] for row in rows]), torch.tensor(weights)
    torch.testing.assert_close(mean(scaled, weight_K).dense(), scale * mean(sparse(rows), weight_K).dense())
    torch.testing.assert_close(mean(sparse(rows), 7 * weight_K).dense(), mean(sparse(rows), weight_K).dense())
    torch.testing.assert_close(sign_agreement(scaled), sign_agreement(sparse(rows)))


def test_election_by_hand() -> None:
    updates = sparse([[1.0, 1.0, 0.0, 2.0], [3.0, -4.0, 0.0, -2.0], [0.0, -2.0, 5.0, 0.0]])
    elected = elected_mean(updates, torch.tensor([1, 1, 2]))
    # c0: voters 1 and 3; c1: -4 and twice -2; c2: one voter keeps full strength; c3: 2 - 2 is no majority
    torch.testing.assert_close(elected.dense(), torch.tensor([2.0, -8 / 3, 5.0, 0.0]))
    assert elected.index_K.tolist() == [0, 1, 2]
    torch.testing.assert_close(weighted_mean(updates, torch.tensor([1, 1, 2])).dense(), torch.tensor([1.0, -7 / 4, 2.5, 0.0]))


def test_disjoint_updates_inflate_the_norm_by_the_number_of_nodes() -> None:
    updates = sparse(torch.eye(8).tolist())
    norm = l2_norm(elected_mean(updates, torch.ones(8)))
    assert norm_ratio(norm, weighted_mean_norm(updates, torch.ones(8))) == pytest.approx(8)


def test_a_node_without_weight_has_no_vote() -> None:
    updates = sparse([[1.0, 0.0], [-5.0, 9.0]])
    assert elected_mean(updates, torch.tensor([2.0, 0.0])).dense().tolist() == [1.0, 0.0]


def test_updates_of_nothing_have_a_mean_of_nothing() -> None:
    for updates in (sparse([[0.0] * 4] * 3), [top_k(torch.empty(0), [], 1.0)]):
        weight_K = torch.ones(len(updates))
        assert len(elected_mean(updates, weight_K).index_K) == len(weighted_mean(updates, weight_K).index_K) == 0
        assert torch.equal(sign_agreement(updates), torch.zeros(len(updates), len(updates), dtype=torch.float64))


@pytest.mark.parametrize("mean", [elected_mean, weighted_mean])
@pytest.mark.parametrize(
    ("updates", "weights", "message"),
    [
        ([], [], "0 nodes"),
        (sparse([[1.0]]), [1.0, 2.0], "1 nodes and 2 weights"),
        (sparse([[1.0]]), [-1.0], "not negative"),
        (sparse([[1.0]]), [math.nan], "finite"),
        (sparse([[1.0]]), [0.0], "all be zero"),
        (sparse([[1.0], [1.0, 2.0]]), [1.0, 1.0], "of one size"),
    ],
)
def test_means_of_what_does_not_fit_are_refused(
    mean: Mean, updates: list[SparseUpdate], weights: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        mean(updates, torch.tensor(weights))


def linked_by_loop(agreement: list[list[float]], threshold: float) -> set[frozenset[int]]:
    """Merges the two clusters with the largest mean agreement until it is below the threshold."""
    clusters = [frozenset([k]) for k in range(len(agreement))]

    def mean(a: frozenset[int], b: frozenset[int]) -> float:
        return sum(agreement[i][j] for i in a for j in b) / (len(a) * len(b))

    while len(clusters) > 1:
        a, b = max(((a, b) for n, a in enumerate(clusters) for b in clusters[n + 1 :]), key=lambda pair: mean(*pair))
        if mean(a, b) < threshold:
            break
        clusters = [c for c in clusters if c not in (a, b)] + [a | b]
    return set(clusters)


@given(st.integers(1, 9), st.integers(0, 2**31), st.floats(-1.1, 1.1))
def test_clusters_match_a_loop_in_any_order(nodes: int, seed: int, threshold: float) -> None:
    noise_KK = normal(nodes, nodes, seed=seed).tanh()
    agreement_KK = (noise_KK + noise_KK.T) / 2
    labels = sign_clusters(agreement_KK, threshold).tolist()
    found = {frozenset(k for k, label in enumerate(labels) if label == own) for own in labels}
    assert found == linked_by_loop(agreement_KK.tolist(), threshold)
    assert list(dict.fromkeys(labels)) == list(range(len(found)))
    order = torch.randperm(nodes, generator=torch.Generator().manual_seed(seed))
    moved = sign_clusters(agreement_KK[order][:, order], threshold)
    assert torch.equal(moved[:, None] == moved, (torch.tensor(labels)[:, None] == torch.tensor(labels))[order][:, order])


def test_clusters_by_hand() -> None:
    agreement_KK = torch.tensor([[1.0, 0.0, 0.8, 0.2], [0.0, 1.0, 0.1, 0.5], [0.8, 0.1, 1.0, 0.1], [0.2, 0.5, 0.1, 1.0]])
    assert sign_clusters(agreement_KK, 0.5).tolist() == [0, 1, 0, 1]  # an agreement of exactly the threshold counts
    assert sign_clusters(agreement_KK, 0.51).tolist() == [0, 1, 0, 2]
    assert sign_clusters(agreement_KK, 0.1).tolist() == [0, 0, 0, 0]  # mean of 0, 0.2, 0.1, 0.1
    assert sign_clusters(torch.ones(1, 1), 0.5).tolist() == [0]


@pytest.mark.parametrize(
    "agreement", [torch.ones(0, 0), torch.ones(2, 3), torch.tensor([[1.0, 0.5], [0.4, 1.0]]), torch.full((2, 2), math.nan)]
)
def test_agreement_that_is_no_matrix_is_refused(agreement: Tensor) -> None:
    with pytest.raises(ValueError, match="agreement must be"):
        sign_clusters(agreement, 0.5)


def test_the_heaviest_cluster_wins_and_the_first_of_equals() -> None:
    label_K = torch.tensor([0, 1, 1, 2])
    assert heaviest_cluster(label_K, torch.tensor([5, 2, 2, 4])).tolist() == [True, False, False, False]
    assert heaviest_cluster(label_K, torch.tensor([3, 2, 2, 4])).tolist() == [False, True, True, False]
    assert heaviest_cluster(label_K, torch.tensor([0, 0, 0, 0])).tolist() == [True, False, False, False]
    for weights in ([1.0], [1.0, -1.0, 0.0, 0.0], [math.inf, 1.0, 1.0, 1.0]):
        with pytest.raises(ValueError, match="weights"):
            heaviest_cluster(label_K, torch.tensor(weights))


def test_flipped_nodes_are_left_outside_the_heaviest_cluster() -> None:
    direction_P = normal(2000, seed=0)
    updates = [top_k((-1 if k < 2 else 1) * direction_P + normal(2000, seed=k + 1), [2000], 0.1) for k in range(10)]
    members_K = heaviest_cluster(sign_clusters(sign_agreement(updates), 0.0), torch.ones(10))
    assert members_K.tolist() == [False] * 2 + [True] * 8


def test_clipping_by_hand() -> None:
    updates = sparse([[0.0, 0.0], [3.0, 4.0], [0.0, -6.0], [800.0, 600.0]])
    clipped = clip_to_median(updates, 2.0)  # of the norms 5, 6 and 1000 the median is 6
    assert clipped[:3] == updates[:3]
    torch.testing.assert_close(clipped[3].dense(), torch.tensor([9.6, 7.2]))
    assert clip_to_median(updates, math.inf) == updates
    assert clip_to_median(updates[:1], 1.0) == updates[:1]
    for factor in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="factor"):
            clip_to_median(updates, factor)


@given(st.integers(1, 7), st.floats(1, 1e30), st.floats(0.5, 4))
def test_fewer_than_half_cannot_move_the_bound(honest: int, size: float, factor: float) -> None:
    updates = sparse([[1.0, 0.0]] * honest + [[0.0, size]] * (honest - 1))
    assert max(l2_norm(update) for update in clip_to_median(updates, factor)) <= factor * (1 + 1e-6)
