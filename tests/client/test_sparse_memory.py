"""What a node remembers of its sparse updates: nothing that it learnt is lost, and nothing is told twice."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from flwr.app import Message
from tiny_run import TRAIN, NamedNodes, at, instruction_of, lines, run_tiny, tiny_config
from torch import Tensor

from client_app.app import open_node
from client_app.node import Node
from concord.wire.sparse import sparse_from_wire
from concord.wire.v1 import federation_pb2 as pb

SIZES = [6, 4]
BEFORE = {"b": torch.zeros(2, 3), "a": torch.zeros(4)}  # not in the order of the alphabet


@pytest.fixture
def node(tmp_path: Path) -> Node:
    config = tiny_config(tmp_path, {"method": "fedmchain", "update.density": 0.3})
    return open_node(NamedNodes(config, ["image-forms-a"]).context(1))


def told(node: Node, after: dict[str, Tensor], memory: dict[str, Tensor], round_: int, last_counted: int) -> Tensor:
    """What the node says in a round, as the server reads it."""
    instruction = pb.Instruction(round=round_, last_counted=last_counted)
    changes = node._sparse_changes({"head": BEFORE}, {"head": after}, memory, instruction)
    return sparse_from_wire(changes["head"], SIZES).dense()


def learnt(seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(tensor.shape, generator=generator) for name, tensor in BEFORE.items()}


def flat(group: dict[str, Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in group.values()])


def test_over_rounds_that_count_all_is_told_or_left_out(node: Node) -> None:
    memory: dict[str, Tensor] = {}
    said = torch.zeros(10)
    for round_ in range(1, 6):
        said += told(node, learnt(round_), memory, round_, last_counted=round_ - 1)
    everything = sum((flat(learnt(r)) for r in range(1, 6)), torch.zeros(10))
    torch.testing.assert_close(said + memory["left-out/head"], everything, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("last_counted", [0, 1])
def test_what_was_said_in_vain_is_owed_again(node: Node, last_counted: int) -> None:
    memory: dict[str, Tensor] = {}
    first = told(node, learnt(1), memory, 1, last_counted=0)
    second = told(node, BEFORE, memory, 2, last_counted=last_counted)
    owed = flat(learnt(1)) - (first if last_counted else 0)
    torch.testing.assert_close(second + memory["left-out/head"], owed, atol=1e-4, rtol=1e-4)


def test_the_server_tells_each_node_which_reply_counted_last(tmp_path: Path) -> None:
    heard: dict[tuple[int, int], int] = {}

    def intercept(node_id: int, message: Message, reply: Message) -> Message | None:
        if message.metadata.message_type == TRAIN:
            instruction = instruction_of(message)
            heard[node_id, instruction.round] = instruction.last_counted
        return None if node_id == 2 and at(TRAIN, 2, message) else reply

    run_tiny(
        tmp_path, {"method": "fedmchain", "rounds": 3, "round-timeout": 0.2}, ("image-forms-a", "word-west-europe"), intercept
    )
    assert [heard[1, r] for r in (1, 2, 3)] == [0, 1, 2]
    assert [heard[2, r] for r in (1, 2, 3)] == [0, 1, 1]
    assert [line["replies"] for line in lines(tmp_path, "round")] == [2, 1, 2, 2]
