"""Figures over seeds: means with Student intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Mean and half width of its two-sided Student t interval.

    Args:
        values: one figure a seed.
        confidence: coverage of the interval, in (0, 1).

    Returns:
        (mean, half width), in the units of the values; the half width of one value is nan.

    Raises:
        ValueError: no value, or a confidence outside (0, 1).
    """
    if len(values) == 0:
        raise ValueError("a mean needs at least one value")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie in (0, 1), got {confidence}")
    mean = float(np.mean(values))
    if len(values) == 1:
        return mean, math.nan
    standard_error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return mean, float(stdtrit(len(values) - 1, (1 + confidence) / 2)) * standard_error


def paired_difference(a: Sequence[float], b: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Mean of a - b over the same seeds, and the half width of its Student t interval.

    Args:
        a: figures of one method, one a seed.
        b: figures of the other, in the same order of seeds.
        confidence: coverage of the interval, in (0, 1).

    Returns:
        (mean difference, half width); the half width of one pair is nan.

    Raises:
        ValueError: no pair, lengths that differ, or a confidence outside (0, 1).
    """
    if len(a) != len(b):
        raise ValueError(f"pairs need equal lengths, got {len(a)} and {len(b)}")
    return mean_interval([x - y for x, y in zip(a, b, strict=True)], confidence)
