"""Scenarios: which labels and modalities the nodes have and whether heads travel, told by a few words in the run config.

A scenario is one or more words joined by ``+``: at most one of `KINDS`, who holds what (``missing=R``, or ``multimodal=R`` and
perhaps ``unbalanced``), ``skew=A``, and of graphs which one (``graph=G``), how it drifts (``drift=D``) and what is learnt of it
(``task=T``). Not every suite takes every word: digits are not paired, so a node of theirs has no modality to lack.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

from concord.errors import ConcordError
from concord.graphs import DRIFTS, TASKS, Drift, Task

Kind = Literal["labelled", "unlabelled", "disjoint-labels", "local-heads"]
KINDS: tuple[Kind, ...] = get_args(Kind)
JOIN = "+"
Name = TypeVar("Name", bound=str)
WITH_VALUE = ("unlabelled", "missing", "multimodal", "skew", "graph", "drift", "task")
WORDS = (*KINDS, "missing", "multimodal", "unbalanced", "skew", "graph", "drift", "task")
USAGE = (
    "labelled, unlabelled=<modality>, disjoint-labels or local-heads; "
    "missing=<rate>, or multimodal=<share> with or without unbalanced; skew=<concentration>; "
    "of graphs graph=<name>, drift=encoder or rotation, task=links or retrieval; joined by +"
)


@dataclass(frozen=True)
class Scenario:
    """What is left out.

    Attributes:
        kind: which labels are hidden, or whose heads stay at home.
        modality: for ``unlabelled`` the modality whose nodes have no labels.
        missing: rate in [0, 1) at which a node lacks a modality that it could hold.
        multimodal: share in (0, 1] of the nodes that hold all modalities; the others hold one each.
        unbalanced: whether most nodes with one modality hold the first; otherwise equally many hold each.
        graph: which graph of a suite of graphs; empty: its first.
        drift: what the features of a party have gone through, see `client_app.data.drift`.
        task: what is learnt of a graph: classes of nodes, which nodes are linked, or to find a node by another modality of it.
        skew: concentration, above 0, of the Dirichlet distribution by which labels are dealt to nodes; None: evenly.
    """

    kind: Kind = "labelled"
    modality: str = ""
    missing: float = 0.0
    skew: float | None = None
    multimodal: float = 1.0
    unbalanced: bool = False
    graph: str = ""
    drift: Drift = "none"
    task: Task = "classes"

    def __str__(self) -> str:
        kind = f"{self.kind}={self.modality}" if self.modality else self.kind
        words = [kind] if self.kind != "labelled" else []
        words += [f"missing={self.missing!r}"] if self.missing else []
        words += [f"multimodal={self.multimodal!r}"] if self.multimodal != 1 or self.unbalanced else []
        words += ["unbalanced"] if self.unbalanced else []
        words += [f"skew={self.skew!r}".replace(JOIN, "")] if self.skew is not None else []  # 1e+16 would be two words
        words += [f"graph={self.graph}"] if self.graph else []
        words += [f"drift={self.drift}"] if self.drift != "none" else []
        words += [f"task={self.task}"] if self.task != "classes" else []
        return JOIN.join(words) or kind


def scenario_words(text: str) -> list[str]:
    """The words of a scenario as they were written."""
    return text.split(JOIN)


def task_of(text: str) -> Task:
    """What a scenario says that is learnt of a graph."""
    return next((task for task in TASKS if f"task={task}" in scenario_words(text)), "classes")


def parse_scenario(text: str, modalities: Sequence[str], refused: Mapping[str, str] | None = None) -> Scenario:
    """Reads a scenario.

    Args:
        text: words joined by ``+``; ``missing=0`` and ``multimodal=1`` are ``labelled``.
        modalities: those of the suite.
        refused: words that make no sense for the suite, each with the reason.

    Raises:
        ConcordError: C204 when it is none, names a modality that the suite does not have, says what the suite refuses, or
            has words that do not go together.
    """
    said: dict[str, str] = {}
    for written in scenario_words(text):
        word, equals, _ = written.partition("=")
        about = "labels" if word in KINDS else word
        if word not in WORDS or bool(equals) != (word in WITH_VALUE):
            raise ConcordError("C204", f"no scenario {written!r}", f"choose one of: {USAGE}")
        if about in said:
            raise ConcordError("C204", f"scenario {text!r} speaks of {about} twice", f"at most one of each: {USAGE}")
        if refused and word in refused:
            raise ConcordError("C204", f"scenario {text!r}: {word} makes no sense here: {refused[word]}", "leave it out")
        said[about] = written
    if "missing" in said and "multimodal" in said:
        raise ConcordError("C204", f"scenario {text!r}: missing and multimodal both say who holds what", "leave one of them out")
    if "unbalanced" in said and "multimodal" not in said:
        what = "unbalanced is about nodes that hold one modality, and without multimodal=<share> none is said to"
        raise ConcordError("C204", f"scenario {text!r}: {what}", "write multimodal=0.5+unbalanced, for example")
    kind, _, modality = said.get("labels", "labelled").partition("=")
    if kind == "unlabelled" and modality not in modalities:
        raise ConcordError("C204", f"scenario {text!r}: no modality {modality!r}", f"choose one of: {', '.join(modalities)}")
    return Scenario(
        next(known for known in KINDS if known == kind),
        modality,
        _number(said.get("missing", "missing=0"), lambda rate: 0 <= rate < 1, "a rate from 0 to below 1"),
        _number(said["skew"], lambda skew: 0 < skew < math.inf, "a number above 0") if "skew" in said else None,
        _number(said.get("multimodal", "multimodal=1"), lambda share: 0 < share <= 1, "a share above 0, at most 1"),
        "unbalanced" in said,
        _value(said.get("graph", "")),
        _one_of(said.get("drift", "drift=none"), DRIFTS),
        _one_of(said.get("task", "task=classes"), TASKS),
    )


def _value(written: str) -> str:
    return written.partition("=")[2]


def _one_of(written: str, known: tuple[Name, ...]) -> Name:
    word, value = written.partition("=")[0], _value(written)
    for name in known:
        if name == value:
            return name
    raise ConcordError("C204", f"scenario {written!r}: no {word} {value!r}", f"choose one of: {', '.join(known)}")


def _number(written: str, allowed: Callable[[float], bool], what: str) -> float:
    """The number in ``word=number``; ConcordError C204 where there is none or it is not allowed."""
    word, value = written.partition("=")[0], _value(written)
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not allowed(number):
        raise ConcordError("C204", f"scenario {written!r}: {value!r} is not {what}", f"write {word}=0.5, for example")
    return number
