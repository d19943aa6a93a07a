"""Figures of a classifier from counts by class, which add up over nodes where ratios do not.

Legend: C classes.
"""

from __future__ import annotations

from torch import Tensor


def macro_f1(hits_C: Tensor, predicted_C: Tensor, actual_C: Tensor) -> float:
    """F1 averaged over the classes that occur or are named; each class counts the same.

    Args:
        hits_C: samples of the class that were named so.
        predicted_C: samples that were named so.
        actual_C: samples of the class.

    Returns:
        Mean of 2 hits / (predicted + actual), in 0..1; nan without any sample.
    """
    total_C = (predicted_C + actual_C).double()
    return float((2 * hits_C.double()[total_C > 0] / total_C[total_C > 0]).mean())
