"""One agent, three transports: in one process, forwarded by a Flower server, and gRPC give the same figures."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
from tiny_run import NamedNodes, Settings, tiny_config

from client_app.agents.agent import Agent
from client_app.data.federation import build_federation
from concord import keys, load_model
from concord.config import AGENTS, RunConfig
from concord.processes import free_port
from concord.run_folder import RunFolder
from peer_app.in_process import Neighbourhood
from peer_app.membership import Membership
from peer_app.neighbours import Neighbours
from peer_app.peer import Peer
from peer_app.service import AgentServer
from peer_app.tls import read_identity
from server_app.run import open_run

NAMES = ("image-forms-a", "image-forms-b", "image-forms-c", "tone-north", "tone-south")
Accuracies = dict[str, dict[tuple[str, str], float]]  # by agent, split and name of the prediction


def agents_of(config: RunConfig) -> list[Agent]:
    federation = build_federation("demo", None, config.seed, "labelled")
    return [Agent(config, node, federation.anchors, torch.device("cpu")) for node in federation.nodes if node.name in NAMES]


def accuracies(agents: Sequence[Agent]) -> Accuracies:
    return {agent.name: {(e.split, e.modality): e.correct / e.examples for e in agent.evaluate()} for agent in agents}


def in_process(config: RunConfig) -> Accuracies:
    agents = agents_of(config)
    Neighbourhood(agents, config).rounds()
    return accuracies(agents)


def through_flower(config: RunConfig) -> Accuracies:
    result = open_run(config, NamedNodes(config, NAMES)).rounds()
    assert result.rejections == []
    return {
        node: {(split, name): value for split, by_name in splits.items() for name, value in by_name.items()}
        for node, splits in result.node_accuracy.items()
    }


def over_grpc(config: RunConfig, folder: Path) -> Accuracies:
    keys.make_authority(folder / "ca")
    addresses = {name: f"127.0.0.1:{free_port()}" for name in NAMES}
    peers = []
    with ExitStack() as stack:
        for agent in agents_of(config):
            keys.make_peer(folder / agent.name, folder / "ca", ["127.0.0.1"])
            identity = read_identity(folder / agent.name)
            others = {name: address for name, address in addresses.items() if name != agent.name}
            neighbours = stack.enter_context(Neighbours(identity))
            neighbours.know(others)
            run_folder = RunFolder(folder / agent.name)
            peer = Peer(agent, Membership(agent.hello(), others, config), neighbours, run_folder, 30.0, 60.0)
            stack.enter_context(AgentServer(addresses[agent.name], identity, peer))
            peers.append(peer)
        for peer in peers:
            peer.find_others(30.0)
        threads = [threading.Thread(target=peer.run) for peer in peers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for peer in peers:
        links = [line for line in peer.folder.read_metrics() if line["scope"] == "link"]
        assert {line["received"] for line in links} <= {"taken"}, links
    return accuracies([peer.agent for peer in peers])


@pytest.mark.parametrize("method", AGENTS)
def test_in_one_process_and_through_flower_the_figures_are_the_same(method: str, tmp_path: Path) -> None:
    config = tiny_config(tmp_path, {"method": method, "rounds": 2})
    assert in_process(config) == through_flower(config)


def test_every_agent_behind_flower_leaves_its_model_on_its_own_disk(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, {"method": "parse", "rounds": 2})
    told = through_flower(config)
    federation = build_federation("demo", None, config.seed, "labelled")
    for node in (node for node in federation.nodes if node.name in NAMES):
        model = load_model(tmp_path / "nodes" / node.name)
        (modality,) = model.modalities
        samples = node.tests["unseen"][modality]
        hits_N = model.classify({modality: samples.x}).argmax(1) == samples.y
        assert float(hits_N.double().mean()) == pytest.approx(told[node.name]["unseen", modality])


@pytest.mark.parametrize(
    "settings",
    [
        {"overlay.kind": "ring"},
        {"overlay.budget": 3000},
        {"parse.redundant-head": "shared", "overlay.kind": "complete"},
        {"adapter.kind": "dora"},
    ],
    ids=str,
)
def test_the_same_with_each_switch(settings: Settings, tmp_path: Path) -> None:
    config = tiny_config(tmp_path, {"method": "parse", **settings})
    assert in_process(config) == through_flower(config)


@pytest.mark.parametrize("budget", [0, 3000])
def test_over_grpc_the_figures_are_the_same(budget: int, tmp_path: Path) -> None:
    config = tiny_config(tmp_path, {"method": "parse", "rounds": 3, "overlay.kind": "ring", "overlay.budget": budget})
    assert over_grpc(config, tmp_path) == in_process(config)


def test_exchange_changes_the_figures(tmp_path: Path) -> None:
    settings: Settings = {"method": "dsgd-modality", "rounds": 3}
    exchanged, alone = (in_process(tiny_config(tmp_path, {**settings, "method": m})) for m in ("dsgd-modality", "alone"))
    assert exchanged != alone
