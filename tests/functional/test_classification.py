"""Macro F1 against scikit-learn."""

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from concord.functional.classification import macro_f1

CLASSES = 4
labels = st.integers(0, CLASSES - 1)


def counts(y_N: torch.Tensor) -> torch.Tensor:
    return torch.bincount(y_N, minlength=CLASSES)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.tuples(labels, labels), min_size=1, max_size=12))
def test_macro_f1_is_that_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    y_N, named_N = torch.tensor(pairs).T
    found = macro_f1(counts(y_N[y_N == named_N]), counts(named_N), counts(y_N))
    assert math.isclose(found, f1_score(y_N, named_N, average="macro"), rel_tol=1e-12)


def test_macro_f1_by_hand() -> None:
    assert macro_f1(torch.tensor([1, 1]), torch.tensor([1, 2]), torch.tensor([2, 1])) == (2 / 3 + 2 / 3) / 2


def test_no_sample_has_no_figure() -> None:
    assert math.isnan(macro_f1(*[torch.zeros(2)] * 3))
