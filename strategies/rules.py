"""How updates are averaged: mean, precision-weighted, exact low-rank, sparse signs.

A rule is a small object with one method over pure functions. Any method takes any rule that makes sense for what
it exchanges; `check_rule` refuses the others with a reason before the run starts.

Legend: K nodes, R rank, O outputs, I inputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from concord.config import RunConfig, SscaConfig
from concord.errors import ConcordError
from concord.functional.lowrank import aggregate_exact
from concord.functional.precision import capped_shares, precision_shares
from concord.functional.signs import (
    clip_to_median,
    elected_mean,
    heaviest_cluster,
    sign_agreement,
    sign_clusters,
    weighted_mean,
    weighted_mean_norm,
)
from concord.functional.sparse import SparseUpdate, l2_norm, norm_ratio
from concord.wire.groups import pack, shapes_of, unpack
from strategies.updates import Update

MOST_MEDIANS = 3.0

RuleName = Literal["mean", "precision", "low-rank", "sparse-sign"]


class Average(NamedTuple):
    """What a rule makes of updates.

    Attributes:
        tensors: the new ones.
        shares_K: share [K] that each update had in it.
        norm_ratio: norm of the step relative to that of the plain weighted mean, where the two differ.
    """

    tensors: dict[str, Tensor]
    shares_K: Tensor
    norm_ratio: float | None = None


class Rule(Protocol):
    """Averages a group, or all groups of a modality together.

    Attributes:
        needs_variance: whether it weighs by the nodes' predictive variance.
        by_modality: whether it sees all groups of a modality as one; otherwise each group alone.
    """

    @property
    def needs_variance(self) -> bool: ...

    @property
    def by_modality(self) -> bool: ...

    def average(self, current: Mapping[str, Tensor], updates: Sequence[Update]) -> Average:
        """The new tensors from the updates of those who sent one."""
        ...


@dataclass(frozen=True)
class Mean:
    """Average weighted by examples (FedAvg, McMahan et al. 2017), each share capped.

    Frozen orthonormal A makes averaging B exact; a B of smaller rank counts as one with zero columns.
    """

    cap: float
    needs_variance: bool = False
    by_modality: bool = False

    def average(self, current: Mapping[str, Tensor], updates: Sequence[Update]) -> Average:
        shares_K = capped_shares(_examples(updates), self.cap)
        return Average(weighted_average(current, updates, shares_K), shares_K)


@dataclass(frozen=True)
class Precision:
    """Average weighted by n_k / sigma_k^2, each share capped (Eklund, arXiv 2601.17986; the formula is reconstructed)."""

    cap: float
    needs_variance: bool = True
    by_modality: bool = False

    def average(self, current: Mapping[str, Tensor], updates: Sequence[Update]) -> Average:
        variance_K = torch.tensor([u.variance for u in updates], dtype=torch.float64)  # in float32 a hostile 1e300 is infinite
        shares_K = precision_shares(_examples(updates), variance_K, self.cap)
        return Average(weighted_average(current, updates, shares_K), shares_K)


@dataclass(frozen=True)
class LowRank:
    """Exact average of sum_k w_k B_k A_k where A is trained too, cut to the shared rank; other tensors: the mean."""

    cap: float
    needs_variance: bool = False
    by_modality: bool = False

    def average(self, current: Mapping[str, Tensor], updates: Sequence[Update]) -> Average:
        shares_K = capped_shares(_examples(updates), self.cap)
        layers = [name.removesuffix(".a") for name in current if name.endswith(".a")]
        factors = [name for layer in layers for name in (f"{layer}.a", f"{layer}.b")]
        averaged = weighted_average({n: t for n, t in current.items() if n not in factors}, updates, shares_K)
        for layer in layers:
            rank = len(current[f"{layer}.a"])
            pairs = [(u.tensors[f"{layer}.b"], u.tensors[f"{layer}.a"]) for u in updates]
            averaged[f"{layer}.b"], averaged[f"{layer}.a"] = aggregate_exact(pairs, shares_K, rank)
        return Average({name: averaged[name] for name in current}, shares_K)


@dataclass(frozen=True)
class SparseSign:
    """Sparse sign-guided aggregation, SSCA (FedMChain, Zhang et al., arXiv 2606.01856; the formulas are reconstructed).

    The heaviest cluster of nodes whose signs agree elects a sign for each coordinate, and those who have it are averaged.
    Without clusters it is TIES-Merging (Yadav et al., NeurIPS 2023) of updates, without election a mean of the cluster.
    """

    cap: float
    settings: SscaConfig
    needs_variance: bool = False
    by_modality: bool = True

    def average(self, current: Mapping[str, Tensor], updates: Sequence[Update]) -> Average:
        sparse = clip_to_median(_sparse(updates), self.settings.clip)
        examples_K = _examples(updates)
        member_K = torch.ones(len(updates), dtype=torch.bool)
        if self.settings.clusters:
            member_K = self._cluster(sign_clusters(sign_agreement(sparse), self.settings.threshold), examples_K)
        shares_K = torch.zeros_like(examples_K)
        shares_K[member_K] = capped_shares(examples_K[member_K], self.cap)
        mean = partial(elected_mean, over=self.settings.mean_over) if self.settings.elect else weighted_mean
        step = mean([u for u, is_member in zip(sparse, member_K.tolist(), strict=True) if is_member], shares_K[member_K])
        ratio = norm_ratio(l2_norm(step), weighted_mean_norm(sparse, capped_shares(examples_K, self.cap)))
        return Average(_moved(current, step, self.settings.server_lr), shares_K, ratio)

    def _cluster(self, label_K: Tensor, examples_K: Tensor) -> Tensor:
        """Members [K] of the heaviest cluster, or all, where it has too few for the cap: no node decides alone (ours).

        Examples are what nodes claim, so none weighs more here than `MOST_MEDIANS` times the median.
        """
        member_K = heaviest_cluster(label_K, examples_K.clamp(max=MOST_MEDIANS * float(examples_K.median())))
        enough = int(member_K.sum()) >= min(len(label_K), math.ceil(1 / self.cap))
        return member_K if enough else torch.ones_like(member_K)


RULES: dict[RuleName, Callable[[RunConfig], Rule]] = {
    "mean": lambda config: Mean(config.aggregation.max_share),
    "precision": lambda config: Precision(config.aggregation.max_share),
    "low-rank": lambda config: LowRank(config.aggregation.max_share),
    "sparse-sign": lambda config: SparseSign(config.aggregation.max_share, config.ssca),
}


def _examples(updates: Sequence[Update]) -> Tensor:
    return torch.tensor([u.examples for u in updates], dtype=torch.float64)


def weighted_average(current: Mapping[str, Tensor], updates: Sequence[Update], shares_K: Tensor) -> dict[str, Tensor]:
    """Weighted mean of each tensor in float64; smaller tensors count as padded with zeros to the current shape.

    Of sparse updates: the current tensors plus their weighted mean.
    """
    if any(update.sparse is not None for update in updates):
        return _moved(current, weighted_mean(_sparse(updates), shares_K), 1.0)
    averaged = {}
    for name, old in current.items():
        total = torch.zeros(old.shape, dtype=torch.float64)
        for update, share in zip(updates, shares_K.tolist(), strict=True):
            new = update.tensors[name]
            total[tuple(slice(size) for size in new.shape)] += share * new.double()
        averaged[name] = total.to(old.dtype)
    return averaged


def _sparse(updates: Sequence[Update]) -> list[SparseUpdate]:
    return [update.sparse for update in updates if update.sparse is not None]


def _moved(current: Mapping[str, Tensor], step: SparseUpdate, rate: float) -> dict[str, Tensor]:
    """The group after a step of `rate` times an update."""
    flat_P = pack(current)
    flat_P[step.index_K.numpy()] += rate * step.value_K.numpy()
    return unpack(flat_P, shapes_of(current))


def make_rule(config: RunConfig, default: RuleName) -> Rule:
    """The rule that a run asks for, or the method's own."""
    name = default if config.aggregation.rule == "auto" else config.aggregation.rule
    return RULES[name](config)


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
    sparse = config.update_values != "dense"
    if rule == "sparse-sign" and not sparse:
        raise _refused(rule, "it averages sparse updates, and here whole groups travel", "set update.values, to int8 for example")
    if rule == "low-rank" and sparse:
        raise _refused(rule, "it averages whole factors, and here sparse updates travel", "set update.values=dense")
    if sparse and config.adapter.ranks():
        raise _refused(rule, "sparse updates of groups of different rank cannot be averaged", "unset adapter.rank-by-modality")
    factors_travel = config.adapter.train_a and config.adapter_kind != "full"
    if rule == "low-rank" and not factors_travel:
        raise _refused(
            rule, "it averages trained pairs B, A, and here A is not trained", "set adapter.train-a=true with lora or dora"
        )
    if rule != "low-rank" and factors_travel and config.adapter.ranks():
        raise _refused(rule, "trained factors of different rank cannot be averaged one by one", "set aggregation.rule=low-rank")


def _refused(rule: str, why: str, hint: str) -> ConcordError:
    return ConcordError("C103", f"aggregation.rule = {rule}: {why}", hint)
