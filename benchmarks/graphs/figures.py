"""Figures of the runs on graphs, by setting and row."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import mean

from benchmarks.graphs.cases import SEEDS, scenario
from benchmarks.markdown import Figure, Results, bytes_of
from benchmarks.sweep import Case, Figures, Row
from client_app.data.graph import TEST, VALIDATION
from concord import kinds
from concord.graphs import Drift, Task
from concord.samples import FUSED


@dataclass(frozen=True)
class Setting:
    """What all rows of a column have in common; `whole`: no party lacks a modality."""

    suite: str
    graph: str
    drift: Drift = "none"
    task: Task = "classes"
    whole: bool = False

    def key(self, row: Row, seed: int) -> str:
        """Name of a case in the results."""
        return Case(self.suite, row, scenario(self.suite, self.graph, self.drift, self.task, whole=self.whole), seed).key


def values(results: Results, setting: Setting, row: Row, of: Figure) -> list[float]:
    """A figure for every seed that was run, in seed order."""
    keys = [setting.key(row, seed) for seed in SEEDS[setting.suite]]
    return [of(results[key]) for key in keys if key in results]


def pairs(results: Results, setting: Setting, ours: Row, theirs: Row, of: Figure) -> tuple[list[float], list[float]]:
    """A figure of two rows for every seed that both were run with, in seed order."""
    keys = [(setting.key(ours, seed), setting.key(theirs, seed)) for seed in SEEDS[setting.suite]]
    both = [(of(results[a]), of(results[b])) for a, b in keys if a in results and b in results]
    return [a for a, _ in both], [b for _, b in both]


def accuracy(figures: Figures) -> float:
    """Accuracy on the test nodes from all modalities."""
    return float(figures["accuracy"][TEST][FUSED]["accuracy"])


def without(modality: str) -> Figure:
    """Accuracy on the test nodes with one modality absent."""
    return lambda figures: float(figures["accuracy"][TEST][kinds.without(FUSED, modality)]["accuracy"])


def rank(figures: Figures) -> float:
    """Mean reciprocal rank of the test questions, the mean over their kinds."""
    return _mean_over_kinds(figures, "mrr")


def first(figures: Figures) -> float:
    """Share of the test questions whose answer is the first, the mean over their kinds."""
    return _mean_over_kinds(figures, "hits-at-1")


def hits(figures: Figures) -> float:
    """Share of the test questions whose answer is among the first ten, the mean over their kinds."""
    return _mean_over_kinds(figures, "hits-at-10")


def by_chance(figures: Figures) -> float:
    """The mean reciprocal rank of an order by chance."""
    return _mean_over_kinds(figures, "chance")


def _mean_over_kinds(figures: Figures, name: str) -> float:
    return mean(float(kind[name]) for kind in figures["ranking"][TEST].values())


def validation_accuracy(figures: Figures) -> float:
    """Accuracy on the nodes for validation."""
    return float(figures["accuracy"][VALIDATION][FUSED]["accuracy"])


def kilobytes_up(figures: Figures) -> float:
    """What a party sends in a round."""
    return bytes_of("up")(figures) / 1000


def bytes_both_ways(figures: Figures) -> float:
    """What a party sends and gets in a round."""
    return bytes_of("up")(figures) + bytes_of("down")(figures)
