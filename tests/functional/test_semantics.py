"""STAGE's translation to anchors, against loops in float64 and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from concord.functional.semantics import (
    LONGEST,
    agreement_loss,
    anchor_moments,
    bounded_moments,
    calibration_loss,
    distance_to_table,
    entropy,
    mean_shares,
    merge_prototypes,
    semantic_anchors,
    shares,
    usage_loss,
)
from concord.seeding import generator_for

seeds = st.integers(0, 2**32 - 1)


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("anchors", "width"), [(4, 8), (8, 8), (20, 8)])
def test_anchors_are_orthogonal_as_far_as_there_is_room(anchors: int, width: int) -> None:
    a_KD = semantic_anchors(anchors, width, generator_for(1, "anchors"))
    gram_KK = a_KD @ a_KD.T
    assert a_KD.shape == (anchors, width)
    torch.testing.assert_close(gram_KK.diagonal(), torch.ones(anchors))
    first = gram_KK[:width, :width]
    torch.testing.assert_close(first, torch.eye(len(first)), atol=1e-6, rtol=0)
    assert torch.equal(a_KD, semantic_anchors(anchors, width, generator_for(1, "anchors")))


@given(seeds)
def test_shares_are_a_softmax_of_cosines(seed: int) -> None:
    u_ND, a_KD = drawn(seed, 5, 3), drawn(seed + 1, 4, 3)
    q_NK = shares(u_ND, a_KD, 0.3)
    for n in range(5):
        cosines = [float(u_ND[n] @ a) / float(u_ND[n].norm() * a.norm()) / 0.3 for a in a_KD]
        total = sum(math.exp(c) for c in cosines)
        assert q_NK[n].tolist() == pytest.approx([math.exp(c) / total for c in cosines])
    torch.testing.assert_close(shares(7 * u_ND, a_KD, 0.3), q_NK)


def test_a_rotation_of_features_and_anchors_changes_no_share() -> None:
    u_ND, a_KD = drawn(1, 6, 4), drawn(2, 3, 4)
    turn_DD = torch.linalg.qr(drawn(3, 4, 4))[0]
    torch.testing.assert_close(shares(u_ND @ turn_DD, a_KD @ turn_DD, 0.2), shares(u_ND, a_KD, 0.2))


def test_a_node_is_described_by_what_it_has() -> None:
    q_MNK = torch.tensor([[[0.2, 0.8], [0.4, 0.6], [0.9, 0.1]], [[0.6, 0.4], [1.0, 0.0], [0.5, 0.5]]])
    present_MN = torch.tensor([[True, True, False], [True, False, False]])
    torch.testing.assert_close(mean_shares(q_MNK, present_MN), torch.tensor([[0.4, 0.6], [0.4, 0.6], [0.5, 0.5]]))


def test_losses_by_hand() -> None:
    q_NK = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    uniform = torch.full((2,), 0.5)
    assert entropy(q_NK).tolist() == pytest.approx([0, math.log(2)])
    assert calibration_loss(q_NK, uniform) == pytest.approx(math.log(2) / 2)
    assert calibration_loss(q_NK, torch.tensor([0.75, 0.25])) == pytest.approx(
        (math.log(1 / 0.75) + 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)) / 2
    )
    assert usage_loss(q_NK) == pytest.approx(0.75 * math.log(0.75) + 0.25 * math.log(0.25))


@given(seeds)
def test_the_divergence_is_never_negative_and_zero_at_the_prior(seed: int) -> None:
    q_NK, prior_K = drawn(seed, 6, 5).softmax(1), drawn(seed + 1, 5).softmax(0)
    assert calibration_loss(q_NK, prior_K) >= 0
    assert float(calibration_loss(prior_K.expand(3, 5), prior_K)) == pytest.approx(0, abs=1e-12)
    assert usage_loss(q_NK) >= -math.log(5) - 1e-12


@given(seeds)
def test_agreement_is_a_cross_entropy_over_prototypes_that_there_are(seed: int) -> None:
    z_ND, q_NK, g_KD = drawn(seed, 6, 3), drawn(seed + 1, 6, 4).softmax(1), drawn(seed + 2, 4, 3)
    mask_K = torch.tensor([True, True, False, True])
    terms = []
    for n in range(6):
        own = int(q_NK[n].argmax())
        if own == 2:
            continue
        cosines = {k: float(z_ND[n] @ g_KD[k]) / float(z_ND[n].norm() * g_KD[k].norm()) / 0.5 for k in (0, 1, 3)}
        terms.append(math.log(sum(math.exp(c) for c in cosines.values())) - cosines[own])
    wanted = float(np.mean(terms)) if terms else 0.0
    assert float(agreement_loss(z_ND, q_NK, g_KD, mask_K, 0.5)) == pytest.approx(wanted)


def test_without_any_prototype_there_is_nothing_to_agree_on_and_a_gradient() -> None:
    z_ND = drawn(1, 3, 2).requires_grad_()
    loss = agreement_loss(
        z_ND, drawn(2, 3, 4).softmax(1), torch.zeros(4, 2, dtype=torch.float64), torch.zeros(4, dtype=torch.bool), 1
    )
    loss.backward()
    assert loss.item() == 0
    assert z_ND.grad is not None
    assert not z_ND.grad.any()


@given(seeds)
def test_moments_of_parts_merge_to_those_of_the_whole(seed: int) -> None:
    u_ND, q_NK = drawn(seed, 9, 3), drawn(seed + 1, 9, 4).softmax(1)
    parts = [anchor_moments(u_ND[rows], q_NK[rows]) for rows in (slice(0, 2), slice(2, 9))]
    merged_KD, mask_K = merge_prototypes(
        *zip(*parts, strict=True), torch.zeros(4, 3, dtype=torch.float64), torch.zeros(4, dtype=torch.bool), 0.9
    )
    whole_KD, mass_K = anchor_moments(u_ND, q_NK)
    torch.testing.assert_close(merged_KD, whole_KD)
    assert bool(mask_K.all())
    assert float(mass_K.sum()) == pytest.approx(9)


def test_the_table_moves_slowly_and_keeps_what_nobody_speaks_of() -> None:
    before_KD = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    mask_K = torch.tensor([True, True, False, False])
    mean_KD = torch.tensor([[0.0, 2.0], [5.0, 5.0], [3.0, 3.0], [9.0, 9.0]])
    after_KD, known_K = merge_prototypes([mean_KD], [torch.tensor([4.0, 0.0, 2.0, 0.0])], before_KD, mask_K, 0.75)
    assert after_KD.tolist() == [[0.75, 0.5], [0.0, 1.0], [3.0, 3.0], [0.0, 0.0]]
    assert known_K.tolist() == [True, True, True, False]


def test_what_makes_no_sense_is_refused() -> None:
    empty = torch.zeros(2, 3), torch.zeros(2, dtype=torch.bool)
    with pytest.raises(ValueError, match="0 sets of means"):
        merge_prototypes([], [], *empty, 0.5)
    with pytest.raises(ValueError, match="negative"):
        merge_prototypes([torch.zeros(2, 3)], [torch.tensor([1.0, -1.0])], *empty, 0.5)


def test_moments_within_the_bounds_stay_as_they_are() -> None:
    means, masses = [*drawn(1, 3, 4, 5)], [*drawn(2, 3, 4).abs()]
    mean_PKD, mass_PK = bounded_moments(means, masses, 0.9)
    assert torch.equal(mean_PKD, torch.stack(means))
    assert torch.equal(mass_PK, torch.stack(masses))


def test_a_long_mean_and_a_large_mass_are_cut() -> None:
    means = torch.tensor([[[1.0, 0.0]], [[0.0, 2.0]], [[300.0, 400.0]]])
    mean_PKD, mass_PK = bounded_moments([*means], [torch.tensor([m]) for m in (1.0, 2.0, 99.0)], 0.5)
    torch.testing.assert_close(mean_PKD, torch.tensor([[[1.0, 0.0]], [[0.0, 2.0]], [[0.6 * LONGEST * 2, 0.8 * LONGEST * 2]]]))
    assert mass_PK.flatten().tolist() == pytest.approx([1, 2, 3])


def test_lengths_of_means_without_mass_do_not_count() -> None:
    means = torch.tensor([[[1.0, 0.0]], [[0.0, 0.0]], [[0.0, 0.0]]])
    mean_PKD, _ = bounded_moments([*means], [torch.tensor([m]) for m in (1.0, 0.0, 0.0)], 0.5)
    assert torch.equal(mean_PKD, means)


@given(seeds)
def test_the_distance_to_the_table_is_a_mean_over_directions_by_mass(seed: int) -> None:
    mean_PKD, table_KD, mass_PK = drawn(seed, 3, 4, 5), drawn(seed + 1, 4, 5), drawn(seed + 2, 3, 4).abs()
    total = 0.0
    for p in range(3):
        for k in range(4):
            mine, merged = mean_PKD[p, k].numpy(), table_KD[k].numpy()
            apart = mine / np.linalg.norm(mine) - merged / np.linalg.norm(merged)
            total += float(mass_PK[p, k]) * math.sqrt(sum(apart**2))
    assert distance_to_table(mean_PKD, mass_PK, table_KD) == pytest.approx(total / float(mass_PK.sum()))
    assert distance_to_table(7 * mean_PKD, mass_PK, table_KD / 3) == pytest.approx(total / float(mass_PK.sum()))


def test_parties_that_stand_where_the_table_stands_are_at_no_distance_and_opposite_ones_at_two() -> None:
    table_KD = torch.eye(3)
    mean_PKD = torch.stack([table_KD, -table_KD])
    assert distance_to_table(mean_PKD, torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]), table_KD) == pytest.approx(0)
    assert distance_to_table(mean_PKD, torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 3.0]]), table_KD) == pytest.approx(2)
    assert math.isnan(distance_to_table(mean_PKD, torch.zeros(2, 3), table_KD))
