"""One run of agents in one process, and its figures."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from client_app.agents.agent import Agent
from client_app.data.federation import build_federation
from concord.config import RunConfig
from peer_app.in_process import Neighbourhood, Round, accuracy_by_figure

SPLITS = ("random", "unseen")


def run_agents(config: RunConfig) -> dict[str, Any]:
    """Accuracy by split and prediction over all agents of a kind, bytes of links, and time."""
    federation = build_federation(config.suite, Path(config.data) if config.data else None, config.seed, config.scenario)
    agents = [Agent(config, node, federation.anchors, torch.device("cpu")) for node in federation.nodes]
    neighbourhood = Neighbourhood(agents, config)
    started = time.monotonic()
    rounds = neighbourhood.rounds()
    seconds = time.monotonic() - started
    evaluations = [e for own in neighbourhood.evaluate().values() for e in own]
    return {
        "accuracy": {
            split: {name: {"accuracy": value} for name, value in accuracy_by_figure(evaluations, split).items()}
            for split in SPLITS
        },
        "bytes": traffic(rounds),
        "seconds": {"total": seconds},
        "agents": {kind: sum(agent.model.kind == kind for agent in agents) for kind in {agent.model.kind for agent in agents}},
    }


def traffic(rounds: Iterable[Round]) -> dict[str, float]:
    """Bytes that an agent sends in a round, those of one direction of a link, and how many such directions there are."""
    sent = [[h.bytes_sent for h in heard] for round_ in rounds for heard in round_.heard.values()]
    links = [size for own in sent for size in own]
    return {
        "up-per-node-round": mean(sum(own) for own in sent),
        "per-link-round": mean(links) if links else 0.0,
        "links": len(links) / len(sent) if sent else 0.0,
    }
