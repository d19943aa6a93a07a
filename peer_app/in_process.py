"""All agents in one process, in step with each other: for experiments, tests, and as many agents as memory holds.

The same `Agent` as everywhere. It says nothing of deployment: no network, no waiting, no processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from client_app.agents.agent import Agent, Heard
from concord.agreement import agree
from concord.config import RunConfig
from concord.wire.v1 import federation_pb2 as pb

Reaches = Callable[[int, str, str], bool]  # (round, sender, receiver) -> whether what is said arrives


@dataclass(frozen=True)
class Round:
    """What happened in a round.

    Attributes:
        losses: by agent the mean of each term of the objective.
        heard: by agent what came of its neighbours.
    """

    losses: Mapping[str, Mapping[str, float]]
    heard: Mapping[str, Sequence[Heard]]

    @property
    def bytes_sent(self) -> int:
        return sum(h.bytes_sent for heard in self.heard.values() for h in heard)


def always(round_: int, sender: str, receiver: str) -> bool:
    """Everything arrives."""
    return True


@dataclass
class Neighbourhood:
    """Agents of one run.

    Attributes:
        agents: all of them, in the same round.
        config: the run.
        reaches: whether what an agent says in a round arrives at a neighbour.
    """

    agents: Sequence[Agent]
    config: RunConfig
    reaches: Reaches = field(default=always)

    def __post_init__(self) -> None:
        self.agreement = agree({agent.name: agent.offer for agent in self.agents}, self.config)

    def round(self, round_: int) -> Round:
        """Everybody trains, says what it learnt, and mixes in what arrived."""
        losses = {agent.name: agent.train(round_, self.agreement.links(agent.name)) for agent in self.agents}
        said = {agent.name: agent.updates() for agent in self.agents}
        heard = {}
        for agent in self.agents:
            arrived = {
                sender: updates[agent.name]
                for sender, updates in said.items()
                if agent.name in updates and self.reaches(round_, sender, agent.name)
            }
            heard[agent.name] = agent.mix(arrived)
            agent.end_round()
        return Round(losses, heard)

    def rounds(self) -> list[Round]:
        """All rounds of the run."""
        return [self.round(round_) for round_ in range(1, self.config.rounds + 1)]

    def evaluate(self) -> dict[str, list[pb.Evaluation]]:
        """By agent every prediction on its tests."""
        return {agent.name: agent.evaluate() for agent in self.agents}


def accuracy_by_figure(evaluations: Iterable[pb.Evaluation], split: str) -> dict[str, float]:
    """Right answers over all samples of a split, by the name of the prediction."""
    correct: dict[str, int] = {}
    examples: dict[str, int] = {}
    for e in evaluations:
        if e.split == split:
            correct[e.modality] = correct.get(e.modality, 0) + e.correct
            examples[e.modality] = examples.get(e.modality, 0) + e.examples
    return {name: correct[name] / examples[name] for name in correct if examples[name]}
