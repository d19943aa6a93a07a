"""The node's Flower ClientApp: three handlers around `Node`."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch
from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from client_app.data.federation import NodeData, build_federation
from client_app.methods import METHODS
from client_app.node import Node, choose_device, node_folder
from client_app.store import NodeStore
from concord.anchors import AnchorSet, load_anchors
from concord.config import RunConfig, default_run_folder, parse_config
from concord.errors import ConcordError
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


def open_node(context: Context) -> Node:
    """This node, from its run config and node config."""
    config = parse_config(context.run_config)
    data, anchors = _data(config, str(context.node_config.get("node", "")), int(context.node_config.get("partition-id", 0)))
    run_folder = config.run_folder or default_run_folder(context.run_id)
    folder = node_folder(run_folder, str(context.node_config.get("state-folder", "")), data.name)
    return Node(config, data, anchors, NodeStore(folder), choose_device(config.device))


def _perform(message: Message, context: Context) -> Message:
    torch.set_num_threads(1)  # nodes of a simulation share the cores
    instruction = message_from_record(pb.Instruction, message.content)
    report, arrays = open_node(context).perform(instruction, arrays_from_record(message.content))
    return Message(to_record(report, arrays), reply_to=message)


@lru_cache(maxsize=64)
def _data(config: RunConfig, name: str, partition: int) -> tuple[NodeData, AnchorSet]:
    data = Path(config.data) if config.data else None
    federation = build_federation(config.suite, data, config.seed, config.scenario, METHODS[config.method].pooled)
    by_name = {node.name: node for node in federation.nodes}
    if name and name not in by_name:
        raise ConcordError("C203", f"suite {config.suite} has no node {name!r}", f"set node to one of: {', '.join(by_name)}")
    if not name and partition >= len(federation.nodes):
        raise ConcordError(
            "C203", f"partition {partition} of suite {config.suite} with {len(federation.nodes)} nodes", "start fewer SuperNodes"
        )
    node = by_name[name] if name else federation.nodes[partition]
    anchors = load_anchors(Path(config.anchors)) if config.anchors else federation.anchors
    return node, anchors
