"""Scenarios: which labels and modalities the nodes have and whether heads travel, told by a few words in the run config.

A scenario is one or more words joined by ``+``: at most one of `KINDS`, ``missing=R`` and ``skew=A``. Not every suite
takes every word: digits are not paired, so a node of theirs has no modality to lack.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from concord.errors import ConcordError

Kind = Literal["labelled", "unlabelled", "disjoint-labels", "local-heads"]
KINDS: tuple[Kind, ...] = get_args(Kind)
JOIN = "+"
USAGE = "labelled, unlabelled=<modality>, disjoint-labels or local-heads; missing=<rate>, skew=<concentration>; joined by +"


@dataclass(frozen=True)
class Scenario:
    """What is left out.

    Attributes:
        kind: which labels are hidden, or whose heads stay at home.
        modality: for ``unlabelled`` the modality whose nodes have no labels.
        missing: rate in [0, 1) at which a node lacks a modality that it could hold.
        skew: concentration, above 0, of the Dirichlet distribution by which labels are dealt to nodes; None: evenly.
    """

    kind: Kind = "labelled"
    modality: str = ""
    missing: float = 0.0
    skew: float | None = None

    def __str__(self) -> str:
        kind = f"{self.kind}={self.modality}" if self.modality else self.kind
        words = [kind] if self.kind != "labelled" else []
        words += [f"missing={self.missing!r}"] if self.missing else []
        words += [f"skew={self.skew!r}"] if self.skew is not None else []
        return JOIN.join(words) or kind


def scenario_words(text: str) -> list[str]:
    """The words of a scenario as they were written."""
    return text.split(JOIN)


def parse_scenario(text: str, modalities: Sequence[str], refused: Mapping[str, str] | None = None) -> Scenario:
    """Reads a scenario.

    Args:
        text: words joined by ``+``; ``missing=0`` is ``labelled``.
        modalities: those of the suite.
        refused: words that make no sense for the suite, each with the reason.

    Raises:
        ConcordError: C204 when it is none, names a modality that the suite does not have, or says what the suite refuses.
    """
    said: dict[str, str] = {}
    for written in scenario_words(text):
        word, equals, _ = written.partition("=")
        about = "labels" if word in KINDS else word
        if word not in (*KINDS, "missing", "skew") or bool(equals) != (word in ("unlabelled", "missing", "skew")):
            raise ConcordError("C204", f"no scenario {written!r}", f"choose one of: {USAGE}")
        if about in said:
            raise ConcordError("C204", f"scenario {text!r} speaks of {about} twice", f"at most one of each: {USAGE}")
        if refused and word in refused:
            raise ConcordError("C204", f"scenario {text!r}: {word} makes no sense here: {refused[word]}", "leave it out")
        said[about] = written
    kind, _, modality = said.get("labels", "labelled").partition("=")
    if kind == "unlabelled" and modality not in modalities:
        raise ConcordError("C204", f"scenario {text!r}: no modality {modality!r}", f"choose one of: {', '.join(modalities)}")
    return Scenario(
        next(known for known in KINDS if known == kind),
        modality,
        _number(said.get("missing", "missing=0"), lambda rate: 0 <= rate < 1, "a rate from 0 to below 1"),
        _number(said["skew"], lambda skew: 0 < skew < math.inf, "a number above 0") if "skew" in said else None,
    )


def _number(written: str, allowed: Callable[[float], bool], what: str) -> float:
    """The number in ``word=number``; ConcordError C204 where there is none or it is not allowed."""
    word, _, value = written.partition("=")
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not allowed(number):
        raise ConcordError("C204", f"scenario {written!r}: {value!r} is not {what}", f"write {word}=0.5, for example")
    return number
