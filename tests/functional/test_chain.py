"""Chained modalities: losses by hand and by their limits, and the order of a chain."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from concord.functional.chain import additive_boosting, chain_order, residual_weighting

LABELS = torch.tensor([0, 1])


def test_residual_weighting_by_hand() -> None:
    """Even logits cost log 2 a sample; the context gives the first 0.8 and the second 0.5."""
    context_BC = torch.tensor([[math.log(4.0), 0.0], [0.0, 0.0]])
    found = residual_weighting(torch.zeros(2, 2), context_BC, LABELS)
    assert float(found) == pytest.approx(-(0.8 + 0.5) / 2 * math.log(2))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 1000), st.floats(0, 1))
def test_residual_weighting_takes_from_each_sample_what_the_others_have_right(seed: int, weight: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits_BC, context_BC = torch.randn(2, 6, 3, generator=generator)
    y = torch.randint(3, (6,), generator=generator)
    right = [math.exp(c[k]) / sum(map(math.exp, c)) for c, k in zip(context_BC.tolist(), y.tolist(), strict=True)]
    cost = [math.log(sum(map(math.exp, z))) - z[k] for z, k in zip(logits_BC.tolist(), y.tolist(), strict=True)]
    expected = sum((1 - weight * q) * c for q, c in zip(right, cost, strict=True)) / 6
    found = F.cross_entropy(logits_BC, y) + weight * residual_weighting(logits_BC, context_BC, y)
    assert float(found) == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("loss", [residual_weighting, additive_boosting])
def test_no_gradient_flows_into_the_other_modalities(loss: object) -> None:
    logits_BC, context_BC = torch.zeros(2, 2, requires_grad=True), torch.ones(2, 2, requires_grad=True)
    loss(logits_BC, context_BC, LABELS).backward()  # type: ignore[operator]
    assert context_BC.grad is None
    assert logits_BC.grad is not None


def test_boosting_is_done_where_the_others_are_sure_and_right() -> None:
    sure_BC = torch.tensor([[30.0, 0.0], [0.0, 30.0]])
    assert float(additive_boosting(torch.zeros(2, 2), sure_BC, LABELS)) == pytest.approx(0, abs=1e-6)
    assert float(additive_boosting(torch.zeros(2, 2), torch.zeros(2, 2), LABELS)) == pytest.approx(math.log(2))


def test_orders() -> None:
    names, now, before = ["a", "b", "c"], {"a": 1.0, "b": 2.0, "c": 0.5}, {"a": 2.0, "b": 2.1, "c": 0.5}
    assert chain_order(names, "fixed", {}, {}) == names
    assert chain_order(names, "weakest-first", now, {}) == ["b", "a", "c"]
    assert chain_order(names, "learning-speed", now, before) == ["c", "b", "a"]
    assert chain_order(names, "learning-speed", now, {}) == names
    assert chain_order(names, "learning-speed", now, {"a": 1.0}) == names
    assert chain_order(names, "weakest-first", dict.fromkeys(names, 1.0), {}) == names
