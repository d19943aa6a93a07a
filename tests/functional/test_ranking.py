"""Ranks of right answers against sorting by hand, and the sums that figures are made of."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from concord.functional.ranking import ranking_sums, right_ranks


def test_a_rank_is_one_more_than_the_wrong_answers_above() -> None:
    score_QA = torch.tensor([[0.5, 0.9, 0.1, 0.7], [0.9, 0.1, 0.2, 0.3], [0.1, 0.2, 0.3, 9.0]])
    there_QA = torch.tensor([[True] * 4, [True] * 4, [True, True, True, False]])
    assert right_ranks(score_QA, there_QA).tolist() == [3, 1, 3]


def test_answers_that_tie_count_half() -> None:
    assert right_ranks(torch.zeros(1, 5), torch.ones(1, 5, dtype=torch.bool)).tolist() == [3]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_a_rank_is_the_mean_place_in_all_orders_that_the_scores_allow(scores: list[int]) -> None:
    score_QA = torch.tensor([scores], dtype=torch.float32)
    above, level = sum(s > scores[0] for s in scores), sum(s == scores[0] for s in scores)
    places = range(above + 1, above + level + 1)
    found = right_ranks(score_QA, torch.ones_like(score_QA, dtype=torch.bool))
    assert found.tolist() == [pytest.approx(sum(places) / len(places))]


def test_sums_are_those_of_the_ranks() -> None:
    sums = ranking_sums(torch.tensor([1.0, 2.0, 10.0, 10.5]), torch.tensor([1, 2, 100, 100]))
    assert (sums.questions, sums.first, sums.among_ten) == (4, 1, 3)
    assert sums.reciprocal_ranks == pytest.approx(1 + 1 / 2 + 1 / 10 + 1 / 10.5)
    harmonic = sum(1 / rank for rank in range(1, 101))
    assert sums.chance == pytest.approx(1 + (1 + 1 / 2) / 2 + 2 * harmonic / 100)


def test_an_order_by_chance_has_the_reciprocal_rank_of_chance() -> None:
    generator = torch.Generator().manual_seed(0)
    score_QA = torch.rand((20_000, 12), generator=generator)
    sums = ranking_sums(right_ranks(score_QA, torch.ones_like(score_QA, dtype=torch.bool)), torch.full((20_000,), 12))
    assert sums.reciprocal_ranks / sums.questions == pytest.approx(sums.chance / sums.questions, rel=0.02)


def test_without_a_question_all_sums_are_nought() -> None:
    assert ranking_sums(torch.zeros(0), torch.zeros(0, dtype=torch.int64)) == (0, 0, 0, 0, 0)
