"""An agent from its file to its figures: what `concord peer` does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from client_app.agents.agent import TAKEN, Agent
from client_app.agents.export import export_agent
from client_app.data.graph import NodeGraph
from client_app.data.node_folder import load_node
from client_app.node import choose_device
from client_app.store import NodeStore
from concord.agreement import MUST_BE_ALIKE, federation_digest
from concord.config import RunConfig
from concord.errors import ConcordError
from concord.run_folder import Line, RunFolder, atomic_write
from peer_app.config import read_peer_config
from peer_app.membership import Membership
from peer_app.neighbours import Neighbours
from peer_app.options import CALL_SECONDS
from peer_app.peer import Peer
from peer_app.service import AgentServer
from peer_app.tls import read_identity

TOKEN_LETTERS = 32
LOCK_SECONDS = 5.0  # the lock of a process that was killed is free at once


def run_agent(path: Path, tell: Callable[[Line], None]) -> dict[str, Any]:
    """Runs the agent of a ``peer.toml`` to the end of its rounds; one that was killed goes on from its checkpoint.

    Args:
        path: the file.
        tell: told of every line of its log.

    Returns:
        What ``result.json`` says.

    Raises:
        ConcordError: for what is wrong with the file, the keys, the data or the address; nothing that another agent does.
    """
    torch.set_num_threads(1)  # of several agents on one machine, none takes all cores
    said, config = read_peer_config(path)
    identity = read_identity(said.agent.keys)
    data, anchors = load_node(said.agent.data, config, pooled=False)
    if isinstance(data, NodeGraph):
        raise ConcordError("C605", f"{said.agent.data} holds a graph", "agents train on samples: deal the data of another suite")
    if data.name != identity.name:
        what = f"{said.agent.keys} is of {identity.name!r}, the data in {said.agent.data} of {data.name!r}"
        raise ConcordError("C605", what, "give the agent keys and data of the same name")
    folder = RunFolder(said.agent.folder)
    folder.lock(LOCK_SECONDS)
    _check_settings(folder, config)
    token = federation_digest(config)[:TOKEN_LETTERS]  # what was learnt with other settings is not used
    agent = Agent(config, data, anchors, choose_device(config.device), NodeStore(folder.path / "state").rounds(token))
    goes_on = agent.load()
    folder.write_config(config)
    folder.truncate_metrics(agent.round_ - agent.trained if goes_on else 0)
    message = f"goes on after round {agent.round_ - agent.trained}" if goes_on else ""
    folder.append_metrics({"scope": "run", "event": "started", "message": message})
    others = {name: address for name, address in said.others.items() if name != agent.name}
    membership = Membership(agent.hello(), others, config)
    with Neighbours(identity) as neighbours:
        neighbours.know(others)
        peer = Peer(agent, membership, neighbours, folder, said.agent.start_patience, said.agent.patience, tell)
        with AgentServer(said.agent.listen, identity, peer, call_seconds=max(CALL_SECONDS, said.agent.patience)):
            peer.run()
    result = _result(agent, folder)
    atomic_write(folder.result, json.dumps(result, indent=1) + "\n")
    export_agent(folder.model, agent)
    folder.append_metrics({"scope": "run", "event": "finished", "message": ""})
    return result


def _check_settings(folder: RunFolder, config: RunConfig) -> None:
    """Whether the rounds in the folder, if there are any, are of this run.

    Raises:
        ConcordError: C402, when they were done with other settings.
    """
    if not any(line.get("scope") == "round" for line in folder.read_metrics()):
        return
    before, now = folder.read_config(), config.flat()
    if changed := [key for key in MUST_BE_ALIKE if before.get(key) != now[key]]:
        told = ", ".join(f"{key} = {before.get(key)}" for key in changed)
        raise ConcordError("C402", f"{folder.path} holds rounds with {told}", "set it so again, or choose another folder")


def _result(agent: Agent, folder: RunFolder) -> dict[str, Any]:
    """The figures after the last round, and what they cost."""
    accuracy: dict[str, dict[str, float]] = {}
    for e in agent.evaluate():
        if e.examples:
            accuracy.setdefault(e.split, {})[e.modality] = e.correct / e.examples
    lines = folder.read_metrics()
    links = [line for line in lines if line["scope"] in ("link", "delivery")]
    config = agent.config
    return {
        "agent": agent.name,
        "modalities": list(agent.modalities),
        "method": config.method,
        "suite": config.suite,
        "scenario": config.scenario,
        "seed": config.seed,
        "rounds": config.rounds,
        "accuracy": accuracy,
        "heard-from": sorted({line["neighbour"] for line in links if line.get("received") == TAKEN}),
        "bytes-up": sum(line["bytes-up"] for line in links),
        "bytes-down": sum(line.get("bytes-down", 0) for line in links),
        "rounds-taken-part": sum(line["scope"] == "round" for line in lines),
    }
