"""Agents on made-up pairs of images and tones, in any set of modalities; small enough that a round takes a moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from tiny_run import DEFAULTS, Settings, tiny_config
from torch import Tensor

from client_app.agents.agent import Agent
from client_app.agents.methods import slices_of
from client_app.agents.model import AgentModel
from client_app.data.node_data import NodeData
from client_app.store import RoundStore
from concord.agreement import Agreement, agree
from concord.anchors import AnchorSet
from concord.config import RunConfig
from concord.samples import NO_LABEL, Samples
from concord.wire.groups import pack
from concord.wire.v1 import federation_pb2 as pb

CLASSES = 4
SHAPES: Mapping[str, tuple[int, ...]] = {"image": (28, 28), "tone": (64, 40)}
IMAGE, TONE, BOTH = ("image",), ("tone",), ("image", "tone")
CPU = torch.device("cpu")


def paired(owner: str, modalities: Sequence[str], instances: int = 12, unlabelled: int = 2) -> dict[str, Samples]:
    """The same instances in each modality, of a pattern by class and some noise."""
    y_N = torch.arange(instances) % CLASSES
    ids = tuple(f"{owner}-{number}" for number in range(instances))
    samples = {}
    for modality in modalities:
        noise = torch.Generator().manual_seed(sum(map(ord, owner + modality)))
        pattern = torch.randn(CLASSES, *SHAPES[modality], generator=torch.Generator().manual_seed(len(modality)))
        x = pattern[y_N] + 0.3 * torch.randn(instances, *SHAPES[modality], generator=noise)
        hidden_N = torch.arange(instances) >= instances - unlabelled
        samples[modality] = Samples(x, y_N.masked_fill(hidden_N, NO_LABEL), ids)
    return samples


def node(name: str, modalities: Sequence[str]) -> NodeData:
    tests = {split: paired(f"{name}-{split}", modalities, 8, unlabelled=0) for split in ("random", "unseen")}
    return NodeData(name, paired(name, modalities), tests, {s: part[modalities[0]].ids for s, part in tests.items()})


def anchors(concepts: Sequence[str] = ("red", "green", "blue", "grey")) -> AnchorSet:
    return AnchorSet(tuple(concepts), paired("anchors", BOTH, unlabelled=0))


def agent_config(folder: Path, method: str = "parse", settings: Settings = DEFAULTS) -> RunConfig:
    return tiny_config(folder, {"method": method, "rounds": 4, "parse.slice-width": 6, "batch-size": 4, **settings})


def agent(config: RunConfig, name: str, modalities: Sequence[str], store: RoundStore | None = None) -> Agent:
    return Agent(config, node(name, modalities), anchors(), CPU, store)


def agents(config: RunConfig, held: Mapping[str, Sequence[str]]) -> list[Agent]:
    """By name what each holds."""
    return [agent(config, name, modalities) for name, modalities in held.items()]


def inputs_of(modalities: Sequence[str], instances: int = 5) -> tuple[dict[str, Tensor], Tensor]:
    """A batch of labelled instances."""
    samples = paired("batch", modalities, instances, unlabelled=0)
    return {m: part.x for m, part in samples.items()}, next(iter(samples.values())).y


def values_by_slice(config: RunConfig, model: AgentModel) -> dict[str, Tensor]:
    """By slice a copy of its values, float64."""
    return {name: torch.from_numpy(pack(part)).double() for name, part in slices_of(config, model).items()}


def same_weights(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def weights(of: Agent) -> dict[str, Tensor]:
    """A copy of everything that the agent trains."""
    return {name: p.detach().clone() for name, p in of.model.trained().items()}


HELD: Mapping[str, Sequence[str]] = {"anna": BOTH, "bert": IMAGE, "carl": BOTH, "dora": TONE, "emil": BOTH, "fred": IMAGE}
Updates = dict[str, dict[str, pb.SliceUpdate]]  # by sender and receiver


def agreement_of(all_agents: Sequence[Agent], config: RunConfig) -> Agreement:
    return agree({a.name: a.offer for a in all_agents}, config)


def say(everyone: Sequence[Agent]) -> Updates:
    return {one.name: one.updates() for one in everyone}


def heard_by(name: str, said: Updates) -> dict[str, pb.SliceUpdate]:
    return {sender: updates[name] for sender, updates in said.items() if name in updates}


def scattered(of: Agent, seed: int) -> None:
    """Other values in everything that the agent trains."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in of.model.trained().values():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))


def before_mixing(
    folder: Path, settings: Settings = DEFAULTS, method: str = "parse", round_: int = 1
) -> tuple[list[Agent], Agreement]:
    """Agents after training, each with values of its own."""
    config = agent_config(folder, method, {"local-steps": 1, "aggregation.norm-bound": 1e4, **settings})
    everyone = agents(config, HELD)
    agreement = agreement_of(everyone, config)
    for number, one in enumerate(everyone):
        one.train(round_, agreement.links(one.name))
        scattered(one, number)
    return everyone, agreement


def stacked(everyone: Sequence[Agent]) -> dict[str, dict[str, Tensor]]:
    """By slice and agent its values [P], float64."""
    found: dict[str, dict[str, Tensor]] = {}
    for one in everyone:
        for name, values_P in values_by_slice(one.config, one.model).items():
            found.setdefault(name, {})[one.name] = values_P
    return found
