"""How the updates of one group are averaged: mean, precision-weighted, exact low-rank.

A rule is a small object with one method over pure functions. Any method takes any rule that makes sense for what
it exchanges; `check_rule` refuses the others with a reason before the run starts.

Legend: K nodes, R rank, O outputs, I inputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from concord.config import RunConfig
from concord.errors import ConcordError
from concord.functional.lowrank import aggregate_exact
from concord.functional.precision import capped_shares, precision_shares

RuleName = Literal["mean", "precision", "low-rank"]


@dataclass(frozen=True)
class Update:
    """One node's version of a group after local training.

    Attributes:
        node: its name.
        tensors: the group's tensors, in the node's own rank.
        examples: n_k, training samples behind it.
        variance: sigma_k^2, predictive variance on the anchors (0 where it was not asked for).
    """

    node: str
    tensors: Mapping[str, Tensor]
    examples: int
    variance: float = 0.0


class Rule(Protocol):
    """Averages one group; `needs_variance` says whether it weighs by the nodes' predictive variance."""

    @property
    def needs_variance(self) -> bool: ...

    def average(self, current: Mapping[str, Tensor], updates: Sequence[Update]) -> tuple[dict[str, Tensor], Tensor]:
        """The new tensors of a group, and the share [K] that each update had in them."""
        ...


@dataclass(frozen=True)
class Mean:
    """Average weighted by examples (FedAvg, McMahan et al. 2017), each share capped.

    Frozen orthonormal A makes averaging B exact; a B of smaller rank counts as one with zero columns.
    """

    cap: float
    needs_variance: bool = False

    def average(self, current: Mapping[str, Tensor], updates: Sequence[Update]) -> tuple[dict[str, Tensor], Tensor]:
        shares_K = capped_shares(_examples(updates), self.cap)
        return weighted_average(current, updates, shares_K), shares_K


@dataclass(frozen=True)
class Precision:
    """Average weighted by n_k / sigma_k^2, each share capped (Eklund, arXiv 2601.17986; the formula is reconstructed)."""

    cap: float
    needs_variance: bool = True

    def average(self, current: Mapping[str, Tensor], updates: Sequence[Update]) -> tuple[dict[str, Tensor], Tensor]:
        variance_K = torch.tensor([u.variance for u in updates], dtype=torch.float64)  # in float32 a hostile 1e300 is infinite
        shares_K = precision_shares(_examples(updates), variance_K, self.cap)
        return weighted_average(current, updates, shares_K), shares_K


@dataclass(frozen=True)
class LowRank:
    """Exact average of sum_k w_k B_k A_k where A is trained too, cut to the shared rank; other tensors: the mean."""

    cap: float
    needs_variance: bool = False

    def average(self, current: Mapping[str, Tensor], updates: Sequence[Update]) -> tuple[dict[str, Tensor], Tensor]:
        shares_K = capped_shares(_examples(updates), self.cap)
        layers = [name.removesuffix(".a") for name in current if name.endswith(".a")]
        factors = [name for layer in layers for name in (f"{layer}.a", f"{layer}.b")]
        averaged = weighted_average({n: t for n, t in current.items() if n not in factors}, updates, shares_K)
        for layer in layers:
            rank = len(current[f"{layer}.a"])
            pairs = [(u.tensors[f"{layer}.b"], u.tensors[f"{layer}.a"]) for u in updates]
            averaged[f"{layer}.b"], averaged[f"{layer}.a"] = aggregate_exact(pairs, shares_K, rank)
        return {name: averaged[name] for name in current}, shares_K


RULES: dict[RuleName, type[Mean] | type[Precision] | type[LowRank]] = {"mean": Mean, "precision": Precision, "low-rank": LowRank}


def _examples(updates: Sequence[Update]) -> Tensor:
    return torch.tensor([u.examples for u in updates], dtype=torch.float64)


def weighted_average(current: Mapping[str, Tensor], updates: Sequence[Update], shares_K: Tensor) -> dict[str, Tensor]:
    """Weighted mean of each tensor in float64; smaller tensors count as padded with zeros to the current shape."""
    averaged = {}
    for name, old in current.items():
        total = torch.zeros(old.shape, dtype=torch.float64)
        for update, share in zip(updates, shares_K.tolist(), strict=True):
            new = update.tensors[name]
            total[tuple(slice(size) for size in new.shape)] += share * new.double()
        averaged[name] = total.to(old.dtype)
    return averaged


def make_rule(config: RunConfig, default: RuleName) -> Rule:
    """The rule that a run asks for, or the method's own."""
    name = default if config.aggregation.rule == "auto" else config.aggregation.rule
    return RULES[name](config.aggregation.max_share)


def check_rule(config: RunConfig, default: RuleName, *, averages: bool) -> None:
    """Refuses a rule that makes no sense for the run.

    Raises:
        ConcordError: C103, with the reason.
    """
    asked = config.aggregation.rule
    if not averages:
        if asked != "auto":
            raise _refused(asked, f"method {config.method} averages no weights", "leave aggregation.rule at auto")
        return
    rule = default if asked == "auto" else asked
    factors_travel = config.adapter.train_a and config.adapter.kind != "full"
    if rule == "low-rank" and not factors_travel:
        raise _refused(
            rule, "it averages trained pairs B, A, and here A is not trained", "set adapter.train-a=true with lora or dora"
        )
    if rule != "low-rank" and factors_travel and config.adapter.ranks():
        raise _refused(rule, "trained factors of different rank cannot be averaged one by one", "set aggregation.rule=low-rank")


def _refused(rule: str, why: str, hint: str) -> ConcordError:
    return ConcordError("C103", f"aggregation.rule = {rule}: {why}", hint)
