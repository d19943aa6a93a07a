"""An agent behind Flower: the ServerApp forwards what it says to its neighbours, and keeps no model.

Every message may meet a new process, so the agent is built anew and goes on from its own disk: it mixes in what its
neighbours said in the round before, evaluates, trains, and answers with what is to be forwarded.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from client_app.agents.agent import Agent
from client_app.agents.export import export_agent
from client_app.data.node_data import NodeData
from client_app.holdings import holdings_of
from client_app.messages import Arrays, begin_report, census_of
from client_app.store import NodeStore
from concord.agreement import links_from_wire
from concord.anchors import AnchorSet
from concord.config import RunConfig
from concord.wire.messages import encode, token_from_wire
from concord.wire.v1 import federation_pb2 as pb

MODEL = "model"  # on the agent's disk


@dataclass(frozen=True)
class AgentNode:
    """One agent of a run on Flower: its data, the public anchors, and its own disk."""

    config: RunConfig
    data: NodeData
    anchors: AnchorSet
    store: NodeStore
    device: torch.device

    def census(self) -> pb.Census:
        """What this agent has and could exchange."""
        census = census_of(self.data.name, self.anchors, holdings_of(self.config, self.data.train))
        census.slices.extend(Agent(self.config, self.data, self.anchors, self.device).offer)
        return census

    def perform(self, instruction: pb.Instruction, arrays: Arrays) -> tuple[pb.Report, dict[str, NDArray[np.float32]]]:
        """Ends the round before, evaluates, and trains and says what it learnt, or, after the last round, exports its model.

        `arrays` is empty.

        Raises:
            ConcordError: C303 when the server's anchors are not this agent's, C501 for a malformed instruction.
        """
        started = time.monotonic()
        report = begin_report(instruction, self.data.name, self.anchors)
        kept = self.store.rounds(token_from_wire(instruction.run_token))
        agent = Agent(self.config, self.data, self.anchors, self.device, kept)
        if agent.load(before=instruction.round) and agent.trained:
            heard = agent.mix({update.agent: update for update in instruction.received})
            report.outcomes.extend(pb.LinkOutcome(neighbour=h.neighbour, outcome=h.outcome) for h in heard)
        report.evaluations.extend(agent.evaluate())
        if instruction.phase == pb.PHASE_TRAIN:
            report.losses.update(agent.train(instruction.round, links_from_wire(instruction.links)))
            report.parcels.extend(parcels(agent.updates()))
        else:
            export_agent(self.store.folder / MODEL, agent)  # the server keeps no model
        report.seconds = time.monotonic() - started
        return report, {}


def parcels(updates: Mapping[str, pb.SliceUpdate]) -> list[pb.Parcel]:
    """Updates by neighbour as parcels: what is the same for several travels once."""
    receivers: dict[bytes, list[str]] = defaultdict(list)
    for neighbour, update in updates.items():
        receivers[encode(update)].append(neighbour)
    return [pb.Parcel(to=names, update=updates[names[0]]) for names in receivers.values()]
