"""Kinds of agents, by the modalities that they hold, and the names of the predictions that are measured on them."""

from __future__ import annotations

from collections.abc import Sequence

REDUNDANT, UNIQUE, SYNERGISTIC = "redundant", "unique", "synergistic"
SLICES = (REDUNDANT, UNIQUE, SYNERGISTIC)


def kind_of(modalities: Sequence[str]) -> str:
    """The name of a set of modalities, in their order: the kind of the agents that hold them."""
    return "+".join(modalities)


def without(kind: str, slice_: str) -> str:
    """Name of the prediction of agents of a kind from all slices but one."""
    return f"{kind} without {slice_}"


def alone(kind: str, slice_: str) -> str:
    """Name of the prediction of agents of a kind from one slice."""
    return f"{kind} {slice_} alone"


def figures_of(kind: str) -> frozenset[str]:
    """Names of all predictions that may be measured on agents of a kind."""
    return frozenset({kind, *(name(kind, s) for s in SLICES for name in (without, alone))})


def of_all_slices(figure: str) -> bool:
    """Whether a prediction is that of a whole model, and not of some of its slices."""
    return " " not in figure
