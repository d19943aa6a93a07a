"""The principal plane, against NumPy's SVD of the points themselves and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from concord.functional.principal import principal_plane


@given(st.integers(1, 30), st.integers(2, 8), st.integers(0, 2**32 - 1))
def test_it_is_what_an_svd_of_the_weighted_points_gives(points: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    point_ND, weight_N = rng.normal(size=(points, width)) * 2.0 ** -np.arange(width), rng.uniform(0.5, 2, points)
    mean_D, axis_2D, told_2 = principal_plane(torch.tensor(point_ND), torch.tensor(weight_N))
    np.testing.assert_allclose(mean_D, np.average(point_ND, axis=0, weights=weight_N), atol=1e-12)
    apart_ND = np.sqrt(weight_N)[:, None] * (point_ND - np.average(point_ND, axis=0, weights=weight_N))
    values, axes = np.linalg.svd(apart_ND)[1:]
    np.testing.assert_allclose(axis_2D @ axis_2D.T, np.eye(2), atol=1e-9)
    if points > 3:  # with fewer a direction is left open
        np.testing.assert_allclose(told_2, (values**2 / (values**2).sum())[:2], atol=1e-9)
        np.testing.assert_allclose(np.abs(apart_ND @ axis_2D.numpy().T), np.abs(apart_ND @ axes[:2].T), atol=1e-5)


def test_a_heavy_point_counts_as_often_as_its_weight() -> None:
    point_ND = torch.tensor([[0.0, 1.0, 2.0], [4.0, -1.0, 0.5], [1.0, 1.0, -3.0], [0.5, 2.0, 0.0]])
    once = principal_plane(point_ND, torch.tensor([3.0, 1.0, 2.0, 1.0]))
    repeated = principal_plane(point_ND[[0, 0, 0, 1, 2, 2, 3]], torch.ones(7))
    for a, b in zip(once, repeated, strict=True):
        torch.testing.assert_close(a, b)


def test_turned_round_points_have_the_same_axes() -> None:
    point_ND = torch.tensor([[3.0, 0.1, 0.0], [-2.0, 0.3, 0.4], [-1.0, -0.9, 0.1]])
    _, axis_2D, _ = principal_plane(point_ND, torch.ones(3))
    _, turned_2D, _ = principal_plane(-point_ND, torch.ones(3))
    torch.testing.assert_close(axis_2D, turned_2D)
    assert bool((axis_2D.gather(1, axis_2D.abs().argmax(1, keepdim=True)) > 0).all())


@pytest.mark.parametrize("points", [1, 4])
def test_points_that_are_all_the_same_vary_along_nothing(points: int) -> None:
    mean_D, axis_2D, told_2 = principal_plane(torch.ones(points, 5), torch.ones(points))
    assert mean_D.tolist() == [1] * 5
    assert told_2.tolist() == [0, 0]
    torch.testing.assert_close(axis_2D @ axis_2D.T, torch.eye(2, dtype=torch.float64))
