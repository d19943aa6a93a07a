"""Intervals against `scipy.stats`."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from concord.functional.statistics import mean_interval, paired_difference

examples = settings(max_examples=30, deadline=None, derandomize=True)
figures = st.floats(-100, 100)


@examples
@given(st.lists(figures, min_size=2, max_size=8, unique=True), st.floats(0.5, 0.999))
def test_interval_is_student_t(values: list[float], confidence: float) -> None:
    mean, half_width = mean_interval(values, confidence)
    low, high = stats.t.interval(confidence, len(values) - 1, loc=sum(values) / len(values), scale=stats.sem(values))
    assert (mean - half_width, mean + half_width) == pytest.approx((low, high), rel=1e-9, abs=1e-9)


def test_interval_of_five_seeds_by_hand() -> None:
    mean, half_width = mean_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert mean == pytest.approx(3)
    assert half_width == pytest.approx(2.776445 * math.sqrt(2.5 / 5), rel=1e-6)


def test_one_value_has_no_interval() -> None:
    mean, half_width = mean_interval([0.5])
    assert mean == 0.5
    assert math.isnan(half_width)


def test_paired_difference_is_the_paired_t_test() -> None:
    a, b = [0.9, 0.8, 0.85, 0.7], [0.8, 0.75, 0.7, 0.72]
    mean, half_width = paired_difference(a, b)
    interval = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert (mean - half_width, mean + half_width) == pytest.approx((interval.low, interval.high))


def test_what_has_no_mean_is_rejected() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        mean_interval([])
    with pytest.raises(ValueError, match="equal lengths, got 1 and 2"):
        paired_difference([1.0], [1.0, 2.0])
    for confidence in (0.0, 1.0):
        with pytest.raises(ValueError, match="confidence"):
            mean_interval([1.0, 2.0], confidence)
