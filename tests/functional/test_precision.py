"""Shares against an iterative water-filling, variances against closed forms and automatic differentiation."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import BayesianRidge
from torch import Tensor, nn

from concord.functional.precision import (
    capped_shares,
    capping_factors,
    fisher_trace,
    laplace_variance,
    mc_dropout_variance,
    precision_shares,
)

examples = settings(max_examples=100, deadline=None, derandomize=True)
claims = st.lists(st.one_of(st.just(0.0), st.floats(1e-300, 1e300), st.floats(0.1, 10)), min_size=1, max_size=12)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@examples
@given(claims, st.floats(1e-3, 2))
def test_shares_sum_to_one_and_never_exceed_the_cap(raw: list[float], cap: float) -> None:
    share_K = capped_shares(torch.tensor(raw, dtype=torch.float64), cap)
    assert share_K.sum().item() == pytest.approx(1, abs=1e-9)
    assert share_K.min() >= 0
    assert share_K.max() <= max(cap, 1 / len(raw)) + 1e-9


@examples
@given(claims, st.floats(1e-3, 2))
def test_shares_below_the_cap_are_proportional(raw: list[float], cap: float) -> None:
    share_K = capped_shares(torch.tensor(raw, dtype=torch.float64), cap)
    level = max(cap, 1 / len(raw))
    rates = [share.item() / r for share, r in zip(share_K, raw, strict=True) if 0 < share < level - 1e-9 and r > 0]
    if rates:
        assert rates == pytest.approx([rates[0]] * len(rates), rel=1e-6)
        assert all(r == 0 or r * rates[0] >= level - 1e-9 for s, r in zip(share_K, raw, strict=True) if s >= level - 1e-9)


@examples
@given(st.lists(st.floats(0.01, 100), min_size=2, max_size=10), st.floats(0.05, 1))
def test_shares_match_a_bisection_for_the_water_level(raw: list[float], cap: float) -> None:
    level = max(cap, 1 / len(raw))
    low, high = 0.0, 1e6
    for _ in range(200):
        rate = (low + high) / 2
        low, high = (rate, high) if sum(min(level, rate * r) for r in raw) < 1 else (low, rate)
    expected = [min(level, high * r) for r in raw]
    assert capped_shares(torch.tensor(raw, dtype=torch.float64), cap).tolist() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("raw", "cap", "expected"),
    [
        ([1, 3], 1.0, [0.25, 0.75]),
        ([1, 3], 0.6, [0.4, 0.6]),
        ([0, 0, 0, 0], 0.5, [0.25] * 4),
        ([0, 2, 6, 0], 0.8, [0, 0.25, 0.75, 0]),
        ([0, 2, 6, 0], 0.4, [0.1, 0.4, 0.4, 0.1]),
        ([0, 1, 2, 3], 1 / 3, [0, 1 / 3, 1 / 3, 1 / 3]),
        ([100, 10, 1, 1], 0.4, [0.4, 0.4, 0.1, 0.1]),
        ([7, 1], 0.1, [0.5, 0.5]),
        ([7], 0.1, [1]),
    ],
)
def test_shares_by_hand(raw: list[int], cap: float, expected: list[float]) -> None:
    for raw_K in (torch.tensor(raw), torch.tensor(raw, dtype=torch.float32)):
        share_K = capped_shares(raw_K, cap)
        assert share_K.dtype == torch.float32
        assert share_K.tolist() == pytest.approx(expected, abs=1e-6)
        assert all(share == 0 for share, value in zip(share_K.tolist(), expected, strict=True) if value == 0)


@examples
@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=10), st.floats(0.05, 1))
def test_claims_are_lowered_to_the_cap_and_no_further(raw: list[float], cap: float) -> None:
    claim_K = torch.tensor(raw, dtype=torch.float64)
    factor_K = capping_factors(claim_K, cap)
    level = max(cap, 1 / len(raw))
    lowered_K = claim_K * factor_K
    assert float(lowered_K.max()) <= level * float(lowered_K.sum()) * (1 + 1e-6)
    at_cap_K = lowered_K >= level * lowered_K.sum() * (1 - 1e-6)
    assert bool(((factor_K == 1) | at_cap_K).all())
    torch.testing.assert_close(lowered_K / lowered_K.sum(), capped_shares(claim_K, cap), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("raw", "cap", "expected"),
    [([3, 3, 3], 0.5, [1, 1, 1]), ([1, 2, 9], 0.5, [1, 1, 1 / 3]), ([7], 0.5, [1]), ([0, 4], 0.5, [1, 1]), ([0, 0], 0.5, [1, 1])],
)
def test_factors_by_hand(raw: list[int], cap: float, expected: list[float]) -> None:
    assert capping_factors(torch.tensor(raw), cap).tolist() == pytest.approx(expected)


def test_claims_that_are_no_claims_are_rejected() -> None:
    for raw in ([], [1.0, -1.0], [1.0, float("nan")], [1.0, float("inf")]):
        with pytest.raises(ValueError, match="claims must be finite"):
            capped_shares(torch.tensor(raw), 0.5)
    for cap in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="cap"):
            capped_shares(torch.ones(2), cap)


def test_precision_shares_are_examples_over_variance() -> None:
    share_K = precision_shares(torch.tensor([10, 20, 30]), torch.tensor([1.0, 2.0, 1.5]), 1.0)
    torch.testing.assert_close(share_K, torch.tensor([10 / 40, 10 / 40, 20 / 40]))


@pytest.mark.parametrize("claimed", [0.0, 1e-30])
def test_claimed_certainty_counts_at_most_ten_times_the_median(claimed: float) -> None:
    share_K = precision_shares(torch.ones(5), torch.tensor([claimed, 1.0, 1.0, 1.0, 1.0]), 1.0)
    torch.testing.assert_close(share_K[0] / share_K[1], torch.tensor(10.0))
    capped_K = precision_shares(torch.ones(5), torch.tensor([claimed, 1.0, 1.0, 1.0, 1.0]), 0.3)
    torch.testing.assert_close(capped_K, torch.tensor([0.3, 0.175, 0.175, 0.175, 0.175]))


def test_precision_shares_of_equal_variances_count_examples() -> None:
    for variance in (0.0, 5.0, 1e-30, 1e30):
        share_K = precision_shares(torch.tensor([1, 3]), torch.full((2,), variance), 1.0)
        torch.testing.assert_close(share_K, torch.tensor([0.25, 0.75]))


def test_precision_shares_reject_what_is_no_variance() -> None:
    for variance in ([1.0, -1.0], [1.0, float("nan")], [1.0, float("inf")]):
        with pytest.raises(ValueError, match="variances must be finite"):
            precision_shares(torch.ones(2), torch.tensor(variance), 0.5)
    with pytest.raises(ValueError, match="2 example counts but 1"):
        precision_shares(torch.ones(2), torch.ones(1), 0.5)


def test_laplace_variance_matches_the_inverse_and_scikit_learn() -> None:
    phi_ND, query_MD = normal(20, 4, seed=0), normal(7, 4, seed=1)
    covariance_DD = torch.linalg.inv(2.0 * torch.eye(4, dtype=torch.float64) + phi_ND.T @ phi_ND / 0.25)
    expected = torch.stack([q @ covariance_DD @ q for q in query_MD]).mean()
    torch.testing.assert_close(laplace_variance(phi_ND, query_MD, prior=2.0, noise=0.25), expected)

    ridge = BayesianRidge(fit_intercept=False).fit(phi_ND.numpy(), normal(20, seed=2).numpy())
    _, deviation_M = ridge.predict(query_MD.numpy(), return_std=True)
    function_variance = (deviation_M**2 - 1 / ridge.alpha_).mean()
    # scikit-learn's covariance is of the last but one hyperparameters, hence the tolerance
    assert laplace_variance(phi_ND, query_MD, ridge.lambda_, 1 / ridge.alpha_).item() == pytest.approx(
        function_variance, rel=1e-2
    )


def test_laplace_variance_falls_with_data_from_that_of_the_prior() -> None:
    phi_ND, query_MD = normal(50, 4, seed=3), normal(7, 4, seed=4)
    by_samples = [laplace_variance(phi_ND[:n], query_MD, prior=0.5).item() for n in (0, 1, 10, 50)]
    assert by_samples[0] == pytest.approx(query_MD.square().sum(dim=1).mean().item() / 0.5)
    assert by_samples == sorted(by_samples, reverse=True)


def test_mc_dropout_variance_matches_a_loop() -> None:
    prob_TMC = normal(5, 3, 4, seed=5).softmax(dim=2)
    total = 0.0
    for m in range(3):
        for c in range(4):
            values = prob_TMC[:, m, c].tolist()
            mean = sum(values) / 5
            total += sum((v - mean) ** 2 for v in values) / 4
    assert mc_dropout_variance(prob_TMC).item() == pytest.approx(total / 3)
    assert mc_dropout_variance(prob_TMC[:1].repeat(5, 1, 1)).item() == pytest.approx(0, abs=1e-15)


def test_fisher_trace_is_the_expected_squared_gradient() -> None:
    features_ND, layer = normal(6, 3, seed=6), nn.Linear(3, 4, bias=False, dtype=torch.float64)
    logits_NC = layer(features_ND).detach()
    total = 0.0
    for phi_D, logit_C in zip(features_ND, logits_NC, strict=True):
        for label, probability in enumerate(logit_C.softmax(dim=0).tolist()):
            (gradient,) = torch.autograd.grad(layer(phi_D).log_softmax(dim=0)[label], layer.weight)
            total += probability * gradient.square().sum().item()
    assert fisher_trace(logits_NC, features_ND).item() == pytest.approx(total / 6)


def test_empty_or_ill_shaped_estimates_are_rejected() -> None:
    with pytest.raises(ValueError, match="queries of shape"):
        laplace_variance(torch.ones(2, 3), torch.ones(0, 3))
    with pytest.raises(ValueError, match="queries of shape"):
        laplace_variance(torch.ones(2, 3), torch.ones(2, 4))
    with pytest.raises(ValueError, match="must be positive"):
        laplace_variance(torch.ones(2, 3), torch.ones(2, 3), prior=0.0)
    with pytest.raises(ValueError, match="two passes"):
        mc_dropout_variance(torch.ones(1, 2, 3))
    with pytest.raises(ValueError, match="2 logits and 3 features"):
        fisher_trace(torch.ones(2, 3), torch.ones(3, 3))
