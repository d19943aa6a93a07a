"""The contrastive loss against a loop in float64, and its limits and invariances.

Shapes: B instances, D width.
"""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from concord.functional.contrast import symmetric_info_nce
from tests.random_matrices import normal, rotation, seeds

temperatures = st.sampled_from([0.05, 0.2, 1.0, 5.0])


def loss_by_loop(first: list[list[float]], second: list[list[float]], temperature: float) -> float:
    """Minus the log of the probability of the own partner, over both directions."""

    def cosine(a: list[float], b: list[float]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))

    def one_way(these: list[list[float]], others: list[list[float]]) -> float:
        terms = []
        for own, row in enumerate(these):
            scores = [cosine(row, other) / temperature for other in others]
            terms.append(math.log(math.fsum(math.exp(score - scores[own]) for score in scores)))
        return math.fsum(terms) / len(terms)

    return (one_way(first, second) + one_way(second, first)) / 2


@given(st.integers(1, 7), st.integers(1, 6), seeds, temperatures)
def test_the_loss_is_that_of_a_loop(instances: int, width: int, seed: int, temperature: float) -> None:
    first_BD, second_BD = normal(instances, width, seed=seed), normal(instances, width, seed=seed + 1)
    wanted = loss_by_loop(first_BD.tolist(), second_BD.tolist(), temperature)
    assert symmetric_info_nce(first_BD, second_BD, temperature).item() == pytest.approx(wanted, rel=1e-9, abs=1e-9)
    single = symmetric_info_nce(first_BD.float(), second_BD.float(), temperature)
    assert single.dtype == torch.float32
    assert single.item() == pytest.approx(wanted, rel=1e-3, abs=1e-4)


def test_by_hand() -> None:
    """Orthogonal instances: each finds its partner at cosine 1 among B - 1 at cosine 0."""
    eye_BD = torch.eye(4, dtype=torch.float64)
    assert symmetric_info_nce(eye_BD, eye_BD, 0.5).item() == pytest.approx(math.log(math.exp(2) + 3) - 2)
    assert symmetric_info_nce(eye_BD, eye_BD.roll(1, 0), 0.5).item() == pytest.approx(math.log(math.exp(2) + 3))


@given(st.integers(2, 8), seeds)
def test_a_match_costs_little_and_a_mistake_much(instances: int, seed: int) -> None:
    view_BD = torch.eye(8, dtype=torch.float64)[:instances] + 0.01 * normal(instances, 8, seed=seed)
    matched = symmetric_info_nce(view_BD, view_BD, 0.05).item()
    shuffled = symmetric_info_nce(view_BD, view_BD.roll(1, 0), 0.05).item()
    assert matched < 0.01
    assert shuffled > 15
    assert matched < math.log(instances) < shuffled


def test_views_that_say_nothing_cost_the_logarithm_of_their_number() -> None:
    same_BD = torch.ones(6, 3)
    assert symmetric_info_nce(same_BD, same_BD, 0.2).item() == pytest.approx(math.log(6), rel=1e-6)


@given(st.integers(1, 5), seeds, temperatures)
def test_a_single_instance_costs_nothing_and_teaches_nothing(width: int, seed: int, temperature: float) -> None:
    first_BD = normal(1, width, seed=seed).requires_grad_()
    loss = symmetric_info_nce(first_BD, normal(1, width, seed=seed + 1), temperature)
    loss.backward()
    assert loss.item() == 0
    assert first_BD.grad is not None
    assert not first_BD.grad.any()


@given(st.integers(1, 6), st.integers(2, 5), seeds, temperatures)
def test_the_two_views_may_be_swapped_turned_scaled_and_the_instances_reordered(
    instances: int, width: int, seed: int, temperature: float
) -> None:
    first_BD, second_BD = normal(instances, width, seed=seed), normal(instances, width, seed=seed + 1)
    loss = symmetric_info_nce(first_BD, second_BD, temperature)
    order_B = torch.randperm(instances, generator=torch.Generator().manual_seed(seed))
    turn_DD = rotation(width, seed)
    for again in (
        symmetric_info_nce(second_BD, first_BD, temperature),
        symmetric_info_nce(first_BD[order_B], second_BD[order_B], temperature),
        symmetric_info_nce(first_BD @ turn_DD, second_BD @ turn_DD, temperature),
        symmetric_info_nce(3 * first_BD, 0.1 * second_BD, temperature),
    ):
        torch.testing.assert_close(again, loss)


def descend(first_BD: Tensor, second_BD: Tensor, steps: int) -> Tensor:
    for _ in range(steps):
        first_BD = first_BD.detach().requires_grad_()
        symmetric_info_nce(first_BD, second_BD, 0.2).backward()
        assert first_BD.grad is not None
        first_BD = first_BD - 0.5 * first_BD.grad
    return first_BD.detach()


def test_its_gradient_draws_the_views_of_an_instance_together() -> None:
    first_BD, second_BD = normal(6, 8, seed=0), normal(6, 8, seed=1)
    cosine_B = torch.nn.functional.cosine_similarity
    drawn_BD = descend(first_BD, second_BD, 200)
    assert cosine_B(drawn_BD, second_BD).mean() > cosine_B(first_BD, second_BD).mean() + 0.5
    nearest_B = (torch.nn.functional.normalize(drawn_BD, dim=1) @ torch.nn.functional.normalize(second_BD, dim=1).T).argmax(1)
    assert nearest_B.tolist() == list(range(6))


def test_a_view_of_zeros_gives_no_nan() -> None:
    assert symmetric_info_nce(torch.zeros(3, 4), torch.ones(3, 4), 0.2).item() == pytest.approx(math.log(3), rel=1e-6)
