"""Any number of agents with made-up data, for what does not depend on data: how they come to agree, and what it costs."""

from __future__ import annotations

import torch

from client_app.agents.agent import Agent
from client_app.data.node_data import NodeData
from concord.anchors import AnchorSet
from concord.config import RunConfig
from concord.samples import Samples
from concord.seeding import generator_for

CONCEPTS = ("one", "two", "three")
SAMPLES = 8
SHAPE = (125, 15)  # of a window of a body-worn sensor
MODALITIES = ("accelerometer", "gyroscope")


def made_up_agents(config: RunConfig, modalities: list[tuple[str, ...]]) -> list[Agent]:
    """One agent for each entry, with these modalities."""
    anchors = AnchorSet(CONCEPTS, {m: _samples(f"anchor-{m}", config.seed, len(CONCEPTS)) for m in MODALITIES})
    nodes = []
    for number, held in enumerate(modalities):
        train = {m: _samples(f"agent-{number}", config.seed, SAMPLES) for m in held}
        nodes.append(NodeData(f"agent-{number:03}", train, {}))
    return [Agent(config, node, anchors, torch.device("cpu")) for node in nodes]


def scatter(agent: Agent) -> None:
    """Gives an agent weights of its own: its initial ones and noise that depends on its name."""
    generator = generator_for(agent.config.seed, "scatter", agent.name)
    with torch.no_grad():
        for parameter in agent.model.trained().values():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.01)


def _samples(name: str, seed: int, count: int) -> Samples:
    x = torch.randn(count, *SHAPE, generator=generator_for(seed, name))
    return Samples(x, torch.arange(count) % len(CONCEPTS), tuple(f"{name}/{i}" for i in range(count)))
