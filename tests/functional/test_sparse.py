"""Choosing the largest coordinates, against sorting in plain Python.

Shapes: P coordinates.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor

from concord.functional.sparse import SparseUpdate, check_same_size, kept, l2_norm, norm_ratio, top_k
from tests.random_matrices import normal

few_values = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, -3.0])
sizes_and_values = st.lists(
    st.lists(few_values | st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=12), max_size=4
)
densities = st.floats(0.001, 1)


def update(size: int, **values: float) -> SparseUpdate:
    """`update(5, c1=2.0)`: coordinate 1 is 2."""
    return SparseUpdate(size, torch.tensor([int(c[1:]) for c in values], dtype=torch.int64), torch.tensor([*values.values()]))


def by_sorting(tensors: list[list[float]], density: float) -> list[tuple[int, float]]:
    found, start = [], 0
    for values in tensors:
        count = math.ceil(density * len(values) - 1e-9)
        largest_first = sorted(range(len(values)), key=lambda c: (-abs(values[c]), c))
        found += [(start + c, values[c]) for c in sorted(largest_first[:count]) if values[c] != 0]
        start += len(values)
    return found


def flat(tensors: list[list[float]]) -> Tensor:
    return torch.tensor([v for values in tensors for v in values], dtype=torch.float32)


@given(sizes_and_values, densities)
def test_top_k_is_what_sorting_gives(tensors: list[list[float]], density: float) -> None:
    sparse = top_k(flat(tensors), [len(values) for values in tensors], density)
    assert list(zip(sparse.index_K.tolist(), sparse.value_K.tolist(), strict=True)) == by_sorting(tensors, density)
    assert (sparse.index_K.dtype, sparse.value_K.dtype) == (torch.int64, torch.float32)


@given(sizes_and_values, densities, st.integers(-20, 20))
def test_scale_and_sign_do_not_change_the_choice(tensors: list[list[float]], density: float, power: int) -> None:
    update_P, sizes = flat(tensors).clamp(-1e30, 1e30), [len(values) for values in tensors]
    update_P = torch.where(update_P.abs() < 1e-30, 0, update_P)
    sparse, other = top_k(update_P, sizes, density), top_k(-(2.0**power) * update_P, sizes, density)
    assert torch.equal(other.index_K, sparse.index_K)
    assert torch.equal(other.value_K, -(2.0**power) * sparse.value_K)


def test_everything_is_kept_at_density_one() -> None:
    update_P = normal(50, seed=1)
    assert torch.equal(top_k(update_P, [20, 0, 30], 1.0).dense(), update_P.float())


def test_by_hand() -> None:
    sparse = top_k(torch.tensor([1.0, -4.0, 2.0, 0.1, 0.0, 0.2, -0.3]), [4, 3], 0.4)
    assert sparse.index_K.tolist() == [1, 2, 5, 6]  # ceil(1.6) and ceil(1.2)
    assert sparse.dense().tolist() == torch.tensor([0.0, -4.0, 2.0, 0.0, 0.0, 0.2, -0.3]).tolist()


@pytest.mark.parametrize(
    ("size", "density", "count"),
    [(30, 0.1, 3), (31, 0.1, 4), (10, 1e-12, 1), (0, 0.5, 0), (7, 1.0, 7), (10_000_000, 0.3, 3_000_000)],
)
def test_density_rounds_up_but_not_rounding_errors(size: int, density: float, count: int) -> None:
    assert kept(size, density) == count


@pytest.mark.parametrize(
    ("values", "sizes", "density", "message"),
    [
        ([1.0, 2.0], [1], 0.5, "tensors of"),
        ([1.0, 2.0], [3, -1], 0.5, "tensors of"),
        ([[1.0, 2.0]], [2], 0.5, "tensors of"),
        ([1.0], [1], 0.0, "density"),
        ([1.0], [1], 1.1, "density"),
        ([1.0], [1], math.nan, "density"),
        ([math.nan], [1], 0.5, "finite"),
        ([math.inf], [1], 0.5, "finite"),
    ],
)
def test_what_does_not_fit_is_refused(values: list[float], sizes: list[int], density: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        top_k(torch.tensor(values), sizes, density)


@given(hnp.arrays(np.float32, 8, elements=st.floats(-(2.0**99), 2.0**99, width=32)))
def test_norm_is_that_of_the_dense_array(values: np.ndarray) -> None:
    sparse = top_k(torch.from_numpy(values), [8], 1.0)
    assert l2_norm(sparse) == pytest.approx(math.sqrt(math.fsum(float(v) ** 2 for v in values)))


def test_norm_ratios() -> None:
    assert [norm_ratio(3.0, 1.0), norm_ratio(0.0, 1.0)] == [3.0, 0.0]
    assert [norm_ratio(1.0, 0.0), norm_ratio(0.0, 0.0)] == [math.inf, 1.0]


def test_sizes_that_differ_are_refused() -> None:
    assert check_same_size([update(4), update(4, c1=1.0)]) == 4
    for updates in ([], [update(4), update(5)]):
        with pytest.raises(ValueError, match="of one size"):
            check_same_size(updates)
