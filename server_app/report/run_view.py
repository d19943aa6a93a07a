"""What is known of a run: the final figures where there are any, else the latest ones in the metrics."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from concord.graphs import GRAPH_SUITES, Task
from concord.kinds import kind_of, of_all_slices
from concord.run_folder import last_event
from concord.samples import FUSED
from concord.scenario import task_of
from server_app.report.palette import palette_slots
from server_app.results import Node, Ranking, Rejection, Result, ranking_of
from strategies.registry import METHODS, MethodEntry

Line = Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """A run: its flat configuration, the lines of its metrics, and its final figures if there are any."""

    config: Mapping[str, Any]
    lines: Sequence[Line]
    result: Result | None

    def scope(self, scope: str) -> list[Line]:
        """The lines of one scope that name a round, in the order of rounds."""
        lines = [line for line in self.lines if line.get("scope") == scope and isinstance(line.get("round"), int)]
        return sorted(lines, key=lambda line: line["round"])

    def setting(self, key: str) -> str:
        return str(self.config.get(key, ""))

    @cached_property
    def method(self) -> MethodEntry | None:
        """The method, if this Concord knows it."""
        return METHODS.get(self.setting("method"))

    @property
    def of_agents(self) -> bool:
        """Whether nodes are agents with models of their own."""
        return self.method is not None and self.method.of_agents

    @property
    def of_graphs(self) -> bool:
        """Whether nodes are parties to a graph, whose predictions are all of the nodes of a graph."""
        return self.setting("suite") in GRAPH_SUITES

    @property
    def task(self) -> Task:
        """What is learnt of a graph."""
        return task_of(self.setting("scenario"))

    @cached_property
    def state(self) -> tuple[str, str]:
        """``finished``, ``failed`` or ``unfinished``, and what the run said about it."""
        if self.result:
            return "finished", ""
        event = last_event(self.lines)
        if event.get("event") == "failed":
            return "failed", text(event, "message")
        return "unfinished", "The run goes on, or was interrupted. The figures are those of its latest round."

    @cached_property
    def rounds(self) -> list[Line]:
        """The lines of the rounds that trained; the final evaluation is told as one more round, and is not among them."""
        return [line for line in self.scope("round") if self.trains(line["round"])]

    @cached_property
    def rounds_done(self) -> int:
        return max((line["round"] for line in self.rounds), default=0)

    def trains(self, round_: int) -> bool:
        """Whether a round is one of those that were configured, not the final evaluation."""
        rounds = self.config.get("rounds")
        return not isinstance(rounds, int) or round_ <= rounds

    @cached_property
    def accuracy(self) -> dict[str, dict[str, float]]:
        """Split -> modality -> accuracy."""
        if self.result:
            return {split: {m: one.accuracy for m, one in table.items()} for split, table in self.result.accuracy.items()}
        latest: defaultdict[str, dict[str, float]] = defaultdict(dict)
        for line in self.scope("modality"):
            latest[text(line, "split")][text(line, "modality")] = figure(line, "accuracy")
        return dict(latest)

    @cached_property
    def node_accuracy(self) -> dict[str, dict[str, dict[str, float]]]:
        """Node -> split -> modality -> accuracy."""
        if self.result:
            return self.result.node_accuracy
        latest: defaultdict[str, defaultdict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
        for line in self.scope("node"):
            latest[text(line, "node")][text(line, "split")][text(line, "modality")] = figure(line, "accuracy")
        return {node: dict(splits) for node, splits in latest.items()}

    @cached_property
    def ranking(self) -> dict[str, dict[str, Ranking]]:
        """Split -> kind of questions -> how high right answers rank."""
        if self.result:
            return self.result.ranking
        latest: defaultdict[str, dict[str, Ranking]] = defaultdict(dict)
        for line in self.scope("ranking"):
            latest[text(line, "split")][text(line, "kind")] = ranking_of(line)
        return dict(latest)

    @cached_property
    def cka(self) -> dict[str, float]:
        """``a|b`` -> CKA."""
        if self.result:
            return self.result.cka
        return {text(line, "pair"): figure(line, "cka") for line in self.scope("cka")}

    @cached_property
    def weights(self) -> dict[str, dict[str, float]]:
        """Group -> node -> share in the last round in which the group was averaged."""
        if self.result:
            return self.result.weights
        last = {text(line, "group"): line["round"] for line in self.scope("weight")}
        shares: defaultdict[str, dict[str, float]] = defaultdict(dict)
        for line in self.scope("weight"):
            if line["round"] == last[text(line, "group")]:
                shares[text(line, "group")][text(line, "node")] = figure(line, "share")
        return dict(shares)

    @cached_property
    def rejections(self) -> list[Rejection]:
        if self.result:
            return self.result.rejections
        return [
            Rejection(round=line["round"], node=text(line, "node"), reason=text(line, "reason"), detail=text(line, "detail"))
            for line in self.scope("rejection")
        ]

    @cached_property
    def rounds_kept(self) -> list[int]:
        """Rounds after which the old model was kept."""
        return sorted({line["round"] for line in self.rounds if line.get("kept-old-model") is True})

    @cached_property
    def census(self) -> dict[str, Node]:
        """What the nodes said of themselves, by name."""
        return {node.name: node for node in self.result.nodes} if self.result else {}

    @cached_property
    def holdings(self) -> dict[str, list[str]]:
        """Node -> its modalities as far as they are known, an agent's as one kind; those alike together, then by number."""
        seen = {
            name: sorted({m for table in splits.values() for m in table} - {FUSED}) for name, splits in self.node_accuracy.items()
        }
        known: dict[str, list[str]] = {node: [] for shares in self.weights.values() for node in shares}
        told = {name: node.modalities for name, node in self.census.items()}
        known |= seen | ({name: [kind_of(held)] for name, held in told.items()} if self.of_agents else told)
        return dict(sorted(known.items(), key=lambda item: (item[1], natural(item[0]))))

    @cached_property
    def splits(self) -> list[str]:
        return sorted({*self.accuracy, *(text(line, "split") for line in self.scope("modality"))})

    @cached_property
    def modalities(self) -> list[str]:
        """All that were measured; last, where nodes hold pairs, the place of the prediction from all modalities."""
        final = {m for table in self.accuracy.values() for m in table}
        measured = {text(line, "modality") for line in self.scope("modality")}
        pairs = {*self.cka, *(text(line, "pair") for line in self.scope("cka"))}
        held = {m for modalities in self.holdings.values() for m in modalities}
        found = final | measured | held | ({FUSED} if self.of_graphs else set()) | {m for pair in pairs for m in pair.split("|")}
        return sorted(found, key=lambda m: (m == FUSED, m))

    @cached_property
    def predictions(self) -> list[str]:
        """What accuracies are of: a modality each and all together, or on a graph all together alone."""
        return [FUSED] if self.of_graphs else self.modalities

    @cached_property
    def slots(self) -> dict[str, int]:
        """The palette slot of each modality."""
        return palette_slots(self.modalities)

    def node_slot(self, node: str) -> int | None:
        """The palette slot of a node: its modality's, or None if it has several or they are not known."""
        held = self.holdings.get(node, [])
        return self.slots[held[0]] if len(held) == 1 else None


def of_whole_models(run: Run) -> Run:
    """The run without the figures of slices, of which there are six for each kind of agent."""
    lines = tuple(line for line in run.lines if of_all_slices(text(line, "modality")))
    if (result := run.result) is None:
        return replace(run, lines=lines)
    accuracy = {s: {n: one for n, one in by.items() if of_all_slices(n)} for s, by in result.accuracy.items()}
    nodes = {
        node: {s: {n: one for n, one in by.items() if of_all_slices(n)} for s, by in splits.items()}
        for node, splits in result.node_accuracy.items()
    }
    return replace(run, lines=lines, result=result.model_copy(update={"accuracy": accuracy, "node_accuracy": nodes}))


def figure(line: Line, key: str) -> float:
    value = line.get(key)
    return float(value) if isinstance(value, int | float) else math.nan


def text(line: Line, key: str) -> str:
    return str(line.get(key, ""))


def defined(table: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in table.items() if math.isfinite(value)}


def total(lines: Iterable[Line], key: str) -> float:
    return sum(value for line in lines if math.isfinite(value := figure(line, key)))


def natural(name: str) -> list[tuple[bool, int, str]]:
    """A sort key under which node-2 comes before node-10."""
    parts = re.split(r"0*([0-9]+)", name)  # every second one is a number, and the longer of two is the larger
    return [(bool(i % 2), len(part) * (i % 2), part) for i, part in enumerate(parts)]
