"""The node's Flower ClientApp: three handlers around `Node`."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch
from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from client_app.agents.methods import AGENT_METHODS
from client_app.agents.node import AgentNode
from client_app.answers import answer_from_tensors, answer_to_tensors, question_of
from client_app.data.graph import NodeGraph
from client_app.data.node_data import NodeData
from client_app.data.node_folder import load_node, not_all_data
from client_app.graphs.node import GraphNode
from client_app.methods import METHODS
from client_app.node import Node, choose_device, node_folder
from client_app.store import NodeStore
from concord.anchors import AnchorSet, load_anchors
from concord.config import RunConfig, default_run_folder, parse_config
from concord.errors import ConcordError
from concord.own import OF_FOLDERS
from concord.wire.messages import token_from_wire
from concord.wire.records import arrays_from_record, message_from_record, to_record
from concord.wire.v1 import federation_pb2 as pb

app = ClientApp()


@app.query("census")
def census(message: Message, context: Context) -> Message:
    """Answers with what this node has."""
    return Message(to_record(open_node(context).census()), reply_to=message)


@app.train("round")
def train_round(message: Message, context: Context) -> Message:
    """Evaluates the model that came in, trains, and replies with both."""
    return _perform(message, context)


@app.evaluate("final")
def evaluate_final(message: Message, context: Context) -> Message:
    """Evaluates the model that came in."""
    return _perform(message, context)


def open_node(context: Context) -> Node | AgentNode | GraphNode:
    """This node, agent or party to a graph, from its run config and node config.

    Node config: ``data`` names the folder of the node's own data and anchors (`concord data deal`), in suites ``own`` and
    ``own-graph`` that of its files, and ``anchors`` that of the public anchors, if the run's path is not this machine's; without
    ``data`` the node deals its part of the run's suite to itself, by ``node`` (a name) or by ``partition-id``.
    ``state-folder``: where private state lives.
    """
    config, about = parse_config(context.run_config), context.node_config
    if folder := str(about.get("data", "")):
        data, anchors = _own_data(config, Path(folder), str(about.get("anchors", "")), str(about.get("state-folder", "")))
    else:
        data, anchors = _dealt_data(config, str(about.get("node", "")), int(about.get("partition-id", 0)))
    run_folder = config.run_folder or default_run_folder(context.run_id)
    state = node_folder(run_folder, str(about.get("state-folder", "")), data.name)
    store, device = NodeStore(state), choose_device(config.device)
    if isinstance(data, NodeGraph):
        return GraphNode(config, data, anchors, store, device)
    kind = AgentNode if config.method in AGENT_METHODS else Node
    return kind(config, data, anchors, store, device)


def _perform(message: Message, context: Context) -> Message:
    torch.set_num_threads(1)  # nodes of a simulation share the cores
    instruction, node = message_from_record(pb.Instruction, message.content), open_node(context)
    kept = node.store.rounds(token_from_wire(instruction.run_token))
    question = question_of(node.config, message.content)
    if (answer := kept.load_answer(question)) is not None:
        return Message(to_record(*answer_from_tensors(answer)), reply_to=message)
    report, arrays = node.perform(instruction, arrays_from_record(message.content))
    if not report.needs_base:
        kept.save_answer(question, answer_to_tensors(report, arrays))
    return Message(to_record(report, arrays), reply_to=message)


def _pooled(config: RunConfig) -> bool:
    """Whether one node holds the data of all."""
    return config.method in METHODS and METHODS[config.method].pooled


@lru_cache(maxsize=8)
def _own_data(config: RunConfig, folder: Path, anchors: str, state: str) -> tuple[NodeData | NodeGraph, AnchorSet]:
    if config.suite not in OF_FOLDERS:
        return load_node(folder, config, pooled=_pooled(config))
    if _pooled(config):
        raise not_all_data(folder, config)
    public = load_anchors(Path(anchors or config.anchors))
    if config.of_graphs:
        from client_app.data.own_graph.node import load_own_graph

        return load_own_graph(folder, config, public), public
    from client_app.data.own.node import load_own

    return load_own(folder, config, public, Path(state) / "own-features" if state else None), public


@lru_cache(maxsize=64)
def _dealt_data(config: RunConfig, name: str, partition: int) -> tuple[NodeData | NodeGraph, AnchorSet]:
    from client_app.data.federation import federation_of  # a second to import, in a process that lives for one message

    federation = federation_of(config, pooled=_pooled(config))
    parties = federation.parties
    by_name: dict[str, NodeData | NodeGraph] = {party.name: party for party in parties}
    if name and name not in by_name:
        raise ConcordError("C203", f"suite {config.suite} has no node {name!r}", f"set node to one of: {', '.join(by_name)}")
    if not name and partition >= len(parties):
        raise ConcordError(
            "C203", f"partition {partition} of suite {config.suite} with {len(parties)} nodes", "start fewer SuperNodes"
        )
    node = by_name[name] if name else parties[partition]
    return node, federation.anchors
