"""Methods of agents by name: which model they train, and which parts of it travel together as a slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from client_app.agents.fused import FusedModel, StagedModel
from client_app.agents.model import AgentModel, Part
from client_app.agents.sliced import SHARED_HEAD, SlicedModel
from concord.config import RunConfig

SlicePlan = Mapping[str, Sequence[str]]  # slice -> parts, by kind: what is before the first dot


@dataclass(frozen=True)
class AgentMethod:
    """One method.

    Attributes:
        model: what an agent trains.
        slices: by kind of slice the kinds of its parts. A part is named ``kind.m`` after a modality or ``kind.S`` after all
            of the agent's modalities; a slice of parts of one modality is exchanged with all who hold it, any other one with
            those who hold the same modalities.
        leaves_out: terms of the model's objective that the method does not have.
    """

    model: type[AgentModel]
    slices: SlicePlan
    leaves_out: tuple[str, ...] = ()


_BY_MODALITY = {kind: (kind,) for kind in ("encoder", "redundant", "unique")}
AGENT_METHODS: Mapping[str, AgentMethod] = {
    "parse": AgentMethod(
        SlicedModel, _BY_MODALITY | {"synergistic": ("synergistic-rows", "synergistic-head"), SHARED_HEAD: (SHARED_HEAD,)}
    ),
    "dsgd-modality-sliced": AgentMethod(
        SlicedModel, _BY_MODALITY | {"synergistic-rows": ("synergistic-rows",)}, leaves_out=("contrast",)
    ),
    "dsgd-modality": AgentMethod(FusedModel, {"encoder": ("encoder",)}),
    "dsgd-task": AgentMethod(FusedModel, {"task": ("encoder", "head")}),
    "dsgd-hybrid": AgentMethod(FusedModel, {"encoder": ("encoder",), "head": ("head",)}),
    "harmony": AgentMethod(StagedModel, {"encoder": ("encoder",), "classifier": ("classifier",), "head": ("head",)}),
    "alone": AgentMethod(FusedModel, {}),
}


def build_model(config: RunConfig, modalities: Sequence[str], classes: int) -> AgentModel:
    """The model of an agent before round 1."""
    return AGENT_METHODS[config.method].model(config, modalities, classes)


def slices_of(config: RunConfig, model: AgentModel) -> dict[str, Part]:
    """What an agent exchanges: by slice its live parameters.

    A slice is named after its kind and whom it is for: a modality, all modalities of the agent, or nobody in particular.
    """
    parts = model.parts()
    slices: dict[str, Part] = {}
    for kind, members in AGENT_METHODS[config.method].slices.items():
        chosen = {name: part for name, part in parts.items() if name.partition(".")[0] in members}
        if len(members) == 1:  # each for itself
            slices |= {f"{kind}{name.removeprefix(members[0])}": part for name, part in chosen.items()}
        elif chosen:
            slices[f"{kind}.{model.kind}"] = {f"{name}/{key}": p for name, part in chosen.items() for key, p in part.items()}
    return slices
