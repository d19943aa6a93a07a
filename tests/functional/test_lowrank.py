"""Factor averaging against dense products and their singular value decomposition, and `peft`.

Shapes: O outputs, I inputs, R rank.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from concord.functional.lowrank import (
    Factor,
    aggregate_exact,
    direction_gap,
    dora_directions,
    orthonormal_rows,
)

examples = settings(max_examples=30, deadline=None, derandomize=True)
seeds = st.integers(0, 2**31)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def factor(outputs: int, inputs: int, rank: int, seed: int) -> Factor:
    return normal(outputs, rank, seed=seed), normal(rank, inputs, seed=seed + 1)


def dense(factors: list[Factor], weights: Tensor) -> Tensor:
    return sum((w * b @ a for w, (b, a) in zip(weights, factors, strict=True)), torch.zeros(1, dtype=torch.float64))


def best_approximation(matrix_OI: Tensor, rank: int) -> Tensor:
    u, s, vh = torch.linalg.svd(matrix_OI, full_matrices=False)
    return u[:, :rank] * s[:rank] @ vh[:rank]


def assert_orthonormal(a_RI: Tensor) -> None:
    torch.testing.assert_close(a_RI @ a_RI.T, torch.eye(len(a_RI), dtype=a_RI.dtype), atol=1e-6, rtol=0)


def test_orthonormal_rows_come_from_the_seed() -> None:
    rows = [orthonormal_rows(4, 9, torch.Generator().manual_seed(s)) for s in (0, 0, 1)]
    assert_orthonormal(rows[0])
    assert rows[0].dtype == torch.get_default_dtype()
    assert torch.equal(rows[0], rows[1])
    assert not torch.equal(rows[0], rows[2])
    with pytest.raises(ValueError, match="5 orthonormal rows do not fit into 4"):
        orthonormal_rows(5, 4, torch.Generator())


def test_orthonormal_rows_have_no_preferred_direction() -> None:
    generator = torch.Generator().manual_seed(0)
    mean_RI = torch.stack([orthonormal_rows(2, 3, generator) for _ in range(4000)]).mean(dim=0)
    torch.testing.assert_close(mean_RI, torch.zeros(2, 3), atol=0.05, rtol=0)


@examples
@given(seeds, st.lists(st.tuples(st.integers(1, 4), st.floats(-2, 2)), min_size=1, max_size=4), st.integers(1, 6))
def test_exact_aggregation_is_the_best_approximation(seed: int, nodes: list[tuple[int, float]], rank: int) -> None:
    factors = [factor(5, 7, r, seed + 2 * k) for k, (r, _) in enumerate(nodes)]
    weights = torch.tensor([w for _, w in nodes], dtype=torch.float64)
    b_OR, a_RI = aggregate_exact(factors, weights, rank)
    assert (b_OR.shape, a_RI.shape) == ((5, rank), (rank, 7))
    assert_orthonormal(a_RI)
    expected = dense(factors, weights)
    singular = torch.zeros(rank, dtype=torch.float64)
    singular[: min(rank, 5)] = torch.linalg.svdvals(expected)[:rank]
    torch.testing.assert_close(b_OR.norm(dim=0), singular, atol=1e-9, rtol=1e-9)
    for r in range(1, rank + 1):
        error = (b_OR[:, :r] @ a_RI[:r] - expected).norm()
        assert error <= (best_approximation(expected, r) - expected).norm() + 1e-9


def test_exact_aggregation_leaves_what_lacks_rank_at_zero_but_learnable() -> None:
    b_OR, a_RI = aggregate_exact([factor(6, 8, 2, seed=0)], torch.ones(1), 5)
    assert (b_OR[:, 2:].abs() < 1e-12).all()
    assert_orthonormal(a_RI)


def test_exact_aggregation_has_deterministic_signs() -> None:
    b_OR, a_RI = factor(6, 8, 3, seed=1)
    first = aggregate_exact([(b_OR, a_RI)], torch.ones(1), 3)
    flipped = aggregate_exact([(-b_OR.flip(1), -a_RI.flip(0))], torch.ones(1), 3)
    again = aggregate_exact([first], torch.ones(1), 3)
    for other in (flipped, again):
        torch.testing.assert_close(other, first)


def test_exact_aggregation_keeps_the_dtype_and_takes_shared_a() -> None:
    a_RI = orthonormal_rows(2, 8, torch.Generator().manual_seed(0))
    b = [normal(6, 2, seed=s).float() for s in range(2)]
    b_OR, shared_RI = aggregate_exact([(b[0], a_RI), (b[1], a_RI)], torch.tensor([0.25, 0.75]), 2)
    assert b_OR.dtype == shared_RI.dtype == torch.float32
    torch.testing.assert_close(b_OR @ shared_RI, (0.25 * b[0] + 0.75 * b[1]) @ a_RI)


def test_directions_are_those_of_peft() -> None:
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    model = get_peft_model(nn.Sequential(nn.Linear(6, 4)), LoraConfig(r=2, lora_alpha=6, use_dora=True, target_modules=["0"]))
    layer = model.base_model.model[0]
    a_RI, b_OR = layer.lora_A["default"].weight.data, layer.lora_B["default"].weight.data
    magnitude_O = layer.lora_magnitude_vector["default"].weight.data
    w0_OI = layer.get_base_layer().weight.data.clone()
    b_OR.normal_()
    expected = magnitude_O[:, None] * dora_directions(w0_OI, b_OR, a_RI, scale=3.0)
    torch.testing.assert_close(model.merge_and_unload()[0].weight.data, expected)


def test_direction_gap_matches_a_loop_and_vanishes_for_one_node() -> None:
    w0_OI, weights = normal(5, 6, seed=4), torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    factors = [factor(5, 6, r, seed=20 * r) for r in (1, 2, 3)]

    def direction(update_OI: Tensor) -> Tensor:
        return torch.stack([row / row.norm() for row in w0_OI + 0.5 * update_OI])

    mean = sum((w * direction(b @ a) for w, (b, a) in zip(weights, factors, strict=True)), torch.zeros_like(w0_OI))
    expected = (mean - direction(dense(factors, weights))).norm() / 5**0.5
    torch.testing.assert_close(direction_gap(w0_OI, factors, weights, 0.5), expected)
    assert direction_gap(w0_OI, factors[:1], torch.ones(1), 0.5) < 1e-12


@pytest.mark.parametrize(
    ("factors", "weights", "message"),
    [
        ([], [], "0 factors"),
        ([factor(5, 6, 2, 0)], [0.5, 0.5], "2 weights"),
        ([factor(5, 6, 2, 0)], [float("inf")], "finite"),
        ([factor(5, 6, 2, 0), factor(5, 7, 2, 0)], [0.5, 0.5], "do not fit"),
        ([(torch.ones(5, 2), torch.ones(3, 6))], [1.0], "do not fit"),
    ],
)
def test_factors_that_do_not_fit_are_rejected(factors: list[Factor], weights: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        aggregate_exact(factors, torch.tensor(weights), 2)
    with pytest.raises(ValueError, match=message):
        direction_gap(torch.ones(5, 6), factors, torch.tensor(weights), 1.0)


def test_ranks_that_do_not_fit_are_rejected() -> None:
    for rank in (0, 7):
        with pytest.raises(ValueError, match=r"not in \[1, 6\]"):
            aggregate_exact([factor(5, 6, 2, 0)], torch.ones(1), rank)
