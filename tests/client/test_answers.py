"""A node that is asked twice gives the same answer twice, and works once."""

from __future__ import annotations

from pathlib import Path

import pytest
from flwr.app import Message
from tiny_run import ONE_EACH, TRAIN, NamedNodes, open_tiny, tiny_config

from client_app.answers import answer_from_tensors, answer_to_tensors, question_of
from client_app.node import Node
from concord.wire.records import arrays_from_record, message_from_record
from concord.wire.v1 import federation_pb2 as pb
from server_app.in_process import Intercept
from server_app.run import open_run


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by a name each time that a node does the work of a round."""
    done: list[str] = []
    perform = Node.perform

    def watch(node: Node, instruction: pb.Instruction, arrays: dict) -> tuple:  # type: ignore[type-arg]
        done.append(node.data.name)
        return perform(node, instruction, arrays)

    monkeypatch.setattr(Node, "perform", watch)
    return done


def twice(grid: list[NamedNodes], answers: list[Message]) -> Intercept:
    """Asks each node again in every training round, and delivers the second answer."""

    def intercept(node_id: int, message: Message, reply: Message) -> Message:
        if message.metadata.message_type != TRAIN:
            return reply
        again = grid[0]._app(message, grid[0].context(node_id))
        answers.append(again)
        assert again.content == reply.content
        return again

    return intercept


@pytest.mark.parametrize("method", ["geolora", "fedmchain"])
def test_the_second_answer_is_the_first_and_no_work(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = counted(monkeypatch)
    config = tiny_config(tmp_path, {"rounds": 3, "method": method})
    grid: list[NamedNodes] = []
    answers: list[Message] = []
    grid.append(NamedNodes(config, ONE_EACH, twice(grid, answers)))
    result = open_run(config, grid[0]).rounds()
    assert not result.rejections
    assert len(answers) == 3 * len(ONE_EACH)
    assert len(done) == 4 * len(ONE_EACH), "three rounds and the final evaluation"


def test_an_answer_is_the_same_after_a_time_on_the_disk(tmp_path: Path) -> None:
    seen: list[Message] = []

    def intercept(node_id: int, message: Message, reply: Message) -> Message:
        seen.append(reply)
        return reply

    open_tiny(tmp_path, {"rounds": 1}, intercept=intercept).rounds()
    content = next(reply.content for reply in seen if reply.metadata.message_type == TRAIN)
    report = message_from_record(pb.Report, content)
    arrays = {name: array.copy() for name, array in arrays_from_record(content).items()}
    again, arrays_again = answer_from_tensors(answer_to_tensors(report, arrays))
    assert again == report
    assert {name: array.tolist() for name, array in arrays_again.items()} == {n: a.tolist() for n, a in arrays.items()}


def test_another_message_or_another_setting_is_another_question(tmp_path: Path) -> None:
    seen: list[Message] = []

    def intercept(node_id: int, message: Message, reply: Message) -> Message:
        seen.append(message)
        return reply

    open_tiny(tmp_path / "run", {"rounds": 2}, intercept=intercept).rounds()
    to_the_first = [message for message in seen if message.metadata.dst_node_id == 1]
    contents = [message.content for message in to_the_first if message.metadata.message_type == TRAIN]
    config = tiny_config(tmp_path / "run", {"rounds": 2})
    asked = [question_of(config, content) for content in contents]
    assert len(set(asked)) == 2
    assert question_of(tiny_config(tmp_path / "elsewhere", {"rounds": 2, "resume": True}), contents[0]) == asked[0]
    assert question_of(tiny_config(tmp_path / "run", {"rounds": 3}), contents[0]) != asked[0]
