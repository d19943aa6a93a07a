"""Averaging of one group, against figures made by hand and against dense products."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from concord.config import Scalar, SscaConfig, parse_config
from concord.errors import ConcordError
from concord.functional.sparse import SparseUpdate
from concord.graphs import GRAPH_METHODS
from strategies.registry import METHODS, check_method
from strategies.rules import LowRank, Mean, Precision, SparseSign, check_rule, make_rule
from strategies.updates import Update


def update(value: float, examples: int, variance: float = 0.0) -> Update:
    return Update("n", {"w": torch.full((2,), value)}, examples, variance)


CURRENT = {"w": torch.zeros(2)}


def test_mean_weighs_by_examples() -> None:
    averaged, shares, _ = Mean(1.0).average(CURRENT, [update(1, 30), update(2, 10), update(4, 10)])
    assert shares.tolist() == pytest.approx([0.6, 0.2, 0.2])
    assert averaged["w"].tolist() == pytest.approx([0.6 * 1 + 0.2 * 2 + 0.2 * 4] * 2)
    assert averaged["w"].dtype == torch.float32


def test_mean_caps_the_largest_share_and_gives_the_rest_to_the_others() -> None:
    averaged, shares, _ = Mean(0.5).average(CURRENT, [update(1, 80), update(2, 10), update(4, 10)])
    assert shares.tolist() == pytest.approx([0.5, 0.25, 0.25])
    assert averaged["w"].tolist() == pytest.approx([2.0, 2.0])


def test_one_node_alone_has_the_whole_say_whatever_the_cap() -> None:
    averaged, shares, _ = Mean(0.1).average(CURRENT, [update(3, 5)])
    assert shares.tolist() == [1.0]
    assert averaged["w"].tolist() == [3.0, 3.0]


def test_nodes_without_examples_share_evenly() -> None:
    _, shares, _ = Mean(1.0).average(CURRENT, [update(1, 0), update(2, 0)])
    assert shares.tolist() == [0.5, 0.5]


def test_precision_weighs_by_examples_over_variance() -> None:
    averaged, shares, _ = Precision(1.0).average(CURRENT, [update(1, 10, 1.0), update(2, 10, 2.0), update(4, 20, 4.0)])
    assert shares.tolist() == pytest.approx([0.5, 0.25, 0.25])  # 10 : 5 : 5
    assert averaged["w"].tolist() == pytest.approx([2.0, 2.0])


def test_precision_caps_a_node_that_claims_certainty() -> None:
    _, shares, _ = Precision(0.4).average(CURRENT, [update(1, 10, 1e-300), update(2, 10, 1.0), update(4, 10, 1.0)])
    assert shares.tolist() == pytest.approx([0.4, 0.3, 0.3])


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.floats(5e-324, 1.7e308)), min_size=1, max_size=5), st.floats(0.05, 1.0))
def test_any_valid_claims_give_finite_shares_that_sum_to_one_and_respect_the_cap(
    claims: list[tuple[int, float]], cap: float
) -> None:
    updates = [update(1.0, examples, variance) for examples, variance in claims]
    for rule in (Mean(cap), Precision(cap)):
        averaged, shares, _ = rule.average(CURRENT, updates)
        assert float(shares.sum()) == pytest.approx(1)
        assert float(shares.max()) <= max(cap, 1 / len(claims)) + 1e-9
        assert float(shares.min()) >= 0
        assert averaged["w"].tolist() == pytest.approx([1.0, 1.0])


def factors(rank: int, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {"q.a": torch.randn(rank, 7, generator=generator), "q.b": torch.randn(5, rank, generator=generator)}


def test_low_rank_is_the_dense_mean_where_its_rank_fits() -> None:
    updates = [Update(str(rank), factors(rank, rank), 10 * rank) for rank in (1, 2)]
    averaged, shares, _ = LowRank(1.0).average(factors(3, 0), updates)
    dense = sum(share * u.tensors["q.b"] @ u.tensors["q.a"] for share, u in zip(shares.tolist(), updates, strict=True))
    assert shares.tolist() == pytest.approx([1 / 3, 2 / 3])
    torch.testing.assert_close(averaged["q.b"] @ averaged["q.a"], dense, atol=1e-5, rtol=1e-5)
    assert {name: t.shape for name, t in averaged.items()} == {"q.a": (3, 7), "q.b": (5, 3)}


def test_low_rank_cuts_to_the_best_approximation_of_the_shared_rank() -> None:
    updates = [Update(str(seed), factors(2, seed), 1) for seed in (1, 2, 3)]
    averaged, _, _ = LowRank(1.0).average(factors(2, 0), updates)
    dense = torch.stack([u.tensors["q.b"] @ u.tensors["q.a"] for u in updates]).mean(0)
    u, s, vh = torch.linalg.svd(dense)
    torch.testing.assert_close(averaged["q.b"] @ averaged["q.a"], u[:, :2] * s[:2] @ vh[:2], atol=1e-5, rtol=1e-4)


def test_low_rank_takes_the_mean_of_what_is_no_factor_and_keeps_the_order() -> None:
    current = {"q.a": factors(2, 0)["q.a"], "bias": torch.zeros(2), "q.b": factors(2, 0)["q.b"]}
    updates = [Update(str(v), {**factors(2, v), "bias": torch.full((2,), float(v))}, 1) for v in (1, 3)]
    averaged, _, _ = LowRank(1.0).average(current, updates)
    assert list(averaged) == ["q.a", "bias", "q.b"]
    assert averaged["bias"].tolist() == [2.0, 2.0]


def test_low_rank_is_not_the_mean_of_the_factors() -> None:
    """The test above can tell the exact rule from the naive one."""
    updates = [Update(str(seed), factors(2, seed), 1) for seed in (1, 2)]
    dense = torch.stack([u.tensors["q.b"] @ u.tensors["q.a"] for u in updates]).mean(0)
    naive, _, _ = Mean(1.0).average(factors(2, 0), updates)
    assert not torch.allclose(naive["q.b"] @ naive["q.a"], dense, atol=0.1)


def test_a_b_of_smaller_rank_under_a_shared_frozen_a_is_averaged_exactly() -> None:
    a_RI = torch.linalg.qr(torch.randn(7, 3, generator=torch.Generator().manual_seed(0)))[0].T
    b = {rank: factors(rank, rank)["q.b"] for rank in (1, 3)}
    updates = [Update(str(rank), {"q.b": b[rank]}, 1) for rank in b]
    averaged, _, _ = Mean(1.0).average({"q.b": torch.zeros(5, 3)}, updates)
    dense = (b[1] @ a_RI[:1] + b[3] @ a_RI) / 2
    torch.testing.assert_close(averaged["q.b"] @ a_RI, dense, atol=1e-6, rtol=1e-5)


def test_averaging_changes_neither_the_old_group_nor_the_updates() -> None:
    current, updates = {"w": torch.zeros(2)}, [update(1, 1), update(2, 1)]
    averaged, _, _ = Mean(1.0).average(current, updates)
    averaged["w"].add_(5)
    assert current["w"].tolist() == [0, 0]
    assert [u.tensors["w"].tolist() for u in updates] == [[1, 1], [2, 2]]


def sparse(values: dict[int, float], examples: int = 10, variance: float = 1.0) -> Update:
    """A sparse update of the six coordinates of `SIX`."""
    index_K = torch.tensor(sorted(values), dtype=torch.long)
    value_K = torch.tensor([values[i] for i in sorted(values)])
    return Update("n", {}, examples, variance, SparseUpdate(6, index_K, value_K))


SIX = {"a": torch.tensor([1.0, 1.0]), "b": torch.zeros(2, 2)}
ALL = SscaConfig(clip=100.0, mean_over="winners")


@pytest.mark.parametrize("rule", [Mean(1.0), Precision(1.0)])
def test_the_mean_of_sparse_updates_is_that_of_the_groups_that_they_make(rule: Mean | Precision) -> None:
    updates = [sparse({0: 1.0, 5: -2.0}, 30), sparse({0: 3.0}, 10)]
    groups = [{"a": SIX["a"] + torch.tensor([1.0, 0.0]), "b": torch.tensor([[0.0, 0.0], [0.0, -2.0]])}]
    groups.append({"a": SIX["a"] + torch.tensor([3.0, 0.0]), "b": torch.zeros(2, 2)})
    dense = [Update("n", group, u.examples, u.variance) for group, u in zip(groups, updates, strict=True)]
    found, expected = rule.average(SIX, updates), rule.average(SIX, dense)
    assert found.shares_K.tolist() == expected.shares_K.tolist() == [0.75, 0.25]
    for name in SIX:
        torch.testing.assert_close(found.tensors[name], expected.tensors[name])


def test_sparse_signs_by_hand() -> None:
    """Two nodes agree, the third is against them: it is left out, and of those two the sign of the sum wins."""
    updates = [sparse({0: 1.0, 1: 1.0, 2: 4.0}), sparse({0: 3.0, 1: 1.0, 2: -1.0}), sparse({0: -5.0, 1: -5.0, 2: -5.0, 5: 9.0})]
    tensors, shares_K, norm_ratio = SparseSign(1.0, ALL).average(SIX, updates)
    assert shares_K.tolist() == [0.5, 0.5, 0.0]
    torch.testing.assert_close(tensors["a"], torch.tensor([3.0, 2.0]))  # 1 + mean(1, 3), 1 + mean(1, 1)
    torch.testing.assert_close(tensors["b"], torch.tensor([[4.0, 0.0], [0.0, 0.0]]))  # 4 beats -1 and keeps full strength
    plain = torch.tensor([-1.0, -3.0, -2.0, 9.0]) / 3
    assert norm_ratio == pytest.approx(float(torch.tensor([2.0, 1.0, 4.0]).norm() / plain.norm()))


def test_the_switches_of_sparse_signs() -> None:
    updates = [sparse({0: 1.0, 1: 2.0}), sparse({0: 1.0, 1: -1.0}), sparse({0: -8.0})]

    def moved(**switches: bool | float | str) -> list[float]:
        tensors = SparseSign(1.0, SscaConfig(**{"clip": 100.0, "mean_over": "winners", **switches})).average(SIX, updates).tensors  # type: ignore[arg-type]
        return [round(x, 4) for x in (tensors["a"] - SIX["a"]).tolist()]

    assert moved(clusters=False, elect=False) == [-2.0, 0.3333]
    assert moved(clusters=False) == [-8.0, 2.0]
    assert moved(elect=False) == [1.0, 0.5]
    assert moved(elect=False, server_lr=0.5) == [0.5, 0.25]
    assert moved(clusters=False, mean_over="all") == [-2.6667, 0.6667]
    norm = 5**0.5  # of the first, the median of the three
    assert moved(clusters=False, elect=False, clip=1.0) == pytest.approx([(2 - norm) / 3, 1 / 3], abs=1e-4)


def test_no_node_decides_alone() -> None:
    """Neither by the examples that it claims, nor where two nodes disagree."""
    honest = {0: 1.0, 1: 1.0, 2: 1.0}
    updates = [*(sparse(honest, 100) for _ in range(9)), sparse({c: -v for c, v in honest.items()}, 901)]
    assert SparseSign(0.5, ALL).average(SIX, updates).shares_K[-1] == 0
    assert SparseSign(0.5, ALL).average(SIX, [updates[0], updates[-1]]).shares_K.tolist() == [0.5, 0.5]
    assert SparseSign(0.5, ALL).average(SIX, [updates[-1]]).shares_K.tolist() == [1.0]


def test_one_node_that_flips_its_signs_has_no_share() -> None:
    generator = torch.Generator().manual_seed(0)
    honest = torch.randn(6, generator=generator)
    draws = [honest + 0.3 * torch.randn(6, generator=generator) for _ in range(4)]
    updates = [sparse(dict(enumerate(draw.tolist()))) for draw in [*draws, -draws[0]]]
    assert SparseSign(1.0, ALL).average(SIX, updates).shares_K.tolist() == [0.25] * 4 + [0.0]


@pytest.mark.parametrize(("name", "kind"), [("mean", Mean), ("precision", Precision), ("low-rank", LowRank), ("auto", Precision)])
def test_make_rule_gives_what_was_asked_for_or_the_methods_own(name: str, kind: type) -> None:
    rule = make_rule(parse_config({"aggregation.rule": name, "aggregation.max-share": 0.3}), "precision")
    assert type(rule) is kind
    assert rule.cap == 0.3  # type: ignore[attr-defined]


REFUSED: list[tuple[dict[str, Scalar], str]] = [
    ({"method": "nonsense"}, "no method 'nonsense'"),
    ({"method": "local", "aggregation.rule": "mean"}, "method local averages no weights"),
    ({"method": "fedproto", "aggregation.rule": "precision"}, "method fedproto averages no weights"),
    ({"method": "centralised", "aggregation.rule": "mean"}, "method centralised averages no weights"),
    ({"aggregation.rule": "low-rank"}, "here A is not trained"),
    ({"aggregation.rule": "low-rank", "adapter.train-a": True, "adapter.kind": "full"}, "here A is not trained"),
    ({"adapter.train-a": True, "adapter.rank-by-modality": "word=2"}, "different rank cannot be averaged one by one"),
    ({"aggregation.rule": "sparse-sign"}, "here whole groups travel"),
    ({"method": "fedmchain", "update.values": "dense"}, "here whole groups travel"),
    (
        {"aggregation.rule": "low-rank", "adapter.train-a": True, "update.values": "int8"},
        "it averages whole factors, and here sparse updates travel",
    ),
    ({"update.values": "sign", "adapter.rank-by-modality": "word=2"}, "groups of different rank cannot be averaged"),
    ({"method": "geolora", "fusion.loss": "joint"}, "geolora has a loss for each modality"),
    ({"method": "fedmchain", "fusion.loss": "joint"}, "fedmchain has a loss for each modality"),
    ({"method": "fedavg", "fusion.dropout": 0.5}, "it hides modalities from a joint loss"),
    ({"method": "fedmchain", "fedmchain.regulariser": "residual", "fedmchain.weight": 1.0}, "would fall without end"),
    ({"method": "fedmchain", "adapter.scope": "shared"}, "trains one modality and leaves the others as they are"),
    ({"method": "fedmchain", "model.head": "shared"}, "trains one modality and leaves the others as they are"),
    (
        {"method": "fedavg", "aggregation.rule": "mean", "adapter.train-a": True, "adapter.rank-by-modality": "word=2"},
        "different rank cannot be averaged one by one",
    ),
]


@pytest.mark.parametrize(("settings", "why"), REFUSED, ids=[why for _, why in REFUSED])
def test_settings_that_make_no_sense_are_refused_with_the_reason(settings: dict[str, Scalar], why: str) -> None:
    with pytest.raises(ConcordError, match=f"C103 .*{why}\n  What to do: .+"):
        check_method(parse_config(settings))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"aggregation.rule": "mean", "adapter.train-a": True},
        {"aggregation.rule": "low-rank", "adapter.train-a": True, "adapter.rank-by-modality": "word=2"},
        {"adapter.rank-by-modality": "word=2"},
        {"method": "fedavg", "aggregation.rule": "sparse-sign", "update.values": "float16"},
        {"method": "fedmchain", "aggregation.rule": "mean", "update.values": "dense"},
        *({"method": method} for method in METHODS if method != "stage"),
        *({"method": method, "suite": "world"} for method in GRAPH_METHODS),
    ],
    ids=str,
)
def test_settings_that_make_sense_pass(settings: dict[str, Scalar]) -> None:
    config = parse_config(settings)
    assert check_method(config) is METHODS[config.method]


def test_a_method_that_averages_nothing_takes_auto_alone() -> None:
    check_rule(parse_config({}), "mean", averages=False)
