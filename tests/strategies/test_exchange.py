"""Collecting replies: by the message they answer, until the deadline, whoever signs them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import pytest
from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp

from server_app.in_process import InProcessGrid
from strategies.exchange import exchange

app = ClientApp()


@app.query("echo")
def echo(message: Message, context: Context) -> Message:
    return Message(RecordDict(), reply_to=message)


def ask(nodes: Sequence[int]) -> list[Message]:
    return [Message(RecordDict(), dst_node_id=node_id, message_type="query.echo") for node_id in nodes]


class Slow(InProcessGrid):
    """Hands out one reply a look, the last first, and none in the first few looks."""

    looks = 0

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        self.looks += 1
        return super().pull_messages([max(message_ids, key=int)]) if self.looks > 2 else []


def test_replies_that_come_late_and_out_of_order_are_matched_to_the_node_that_was_asked() -> None:
    grid = Slow(app, {}, 3)
    replies = exchange(grid, ask([1, 2, 3]), timeout=30)
    assert list(replies) == [3, 2, 1]
    assert all(reply.metadata.src_node_id == node_id for node_id, reply in replies.items())


def test_a_silent_node_is_missing_after_the_deadline_and_not_before() -> None:
    grid = InProcessGrid(app, {}, 3, lambda node_id, message, reply: None if node_id == 2 else reply)
    started = time.monotonic()
    replies = exchange(grid, ask([1, 2, 3]), timeout=0.3)
    assert set(replies) == {1, 3}
    assert 0.3 <= time.monotonic() - started < 5


def test_nobody_waits_where_all_have_answered_or_nobody_was_asked() -> None:
    started = time.monotonic()
    grid = InProcessGrid(app, {}, 2)
    assert set(exchange(grid, ask([1, 2]), timeout=600)) == {1, 2}
    assert exchange(grid, [], timeout=600) == {}
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("node", [1, 2])
def test_an_error_that_the_superlink_signs_belongs_to_the_node_that_was_asked(node: int) -> None:
    def fail(node_id: int, message: Message, reply: Message) -> Message:
        if node_id != node:
            return reply
        failed = Message(Error(4, "gone"), reply_to=message)
        failed.metadata.__dict__["_src_node_id"] = 1
        return failed

    replies = exchange(InProcessGrid(app, {}, 3, fail), ask([1, 2, 3]), timeout=5)
    assert set(replies) == {1, 2, 3}
    assert [node_id for node_id, reply in replies.items() if reply.has_error()] == [node]


def test_a_reply_to_another_message_is_not_counted() -> None:
    class Confused(InProcessGrid):
        def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
            replies = super().pull_messages(message_ids)
            for reply in replies:
                if reply.metadata.src_node_id == 1:
                    reply.metadata.__dict__["_reply_to_message_id"] = "another"
            return replies

    assert set(exchange(Confused(app, {}, 2), ask([1, 2]), timeout=0.2)) == {2}


def test_a_handler_that_raises_gives_an_error_reply() -> None:
    grid = InProcessGrid(app, {}, 1)
    (reply,) = exchange(grid, [Message(RecordDict(), dst_node_id=1, message_type="query.unknown")], timeout=5).values()
    assert reply.has_error()
