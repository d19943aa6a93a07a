"""Collecting replies: by the message they answer, until the deadline, whoever signs them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import grpc
import pytest
from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp

from concord.errors import ConcordError
from server_app.in_process import InProcessGrid
from strategies import exchange as exchange_module
from strategies.exchange import MOST_TRIES, Exchange, exchange

app = ClientApp()


@app.query("echo")
def echo(message: Message, context: Context) -> Message:
    return Message(RecordDict(), reply_to=message)


def ask(nodes: Sequence[int]) -> list[Message]:
    return [Message(RecordDict(), dst_node_id=node_id, message_type="query.echo") for node_id in nodes]


class Slow(InProcessGrid):
    """Hands out one reply a look at all three nodes, the last first, and none in the first two looks."""

    looks = 0

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        self.looks += 1
        return super().pull_messages(i for i in message_ids if self.looks > 6 and i == max(self._replies, key=int))


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


def failing(code: int, times: int, node: int = 2) -> InProcessGrid:
    """A grid of three whose node `node` fails with `code` the first few times."""
    left = [times]

    def fail(node_id: int, message: Message, reply: Message) -> Message:
        if node_id != node or not left[0]:
            return reply
        left[0] -= 1
        return Message(Error(code, "cut"), reply_to=message)

    return InProcessGrid(app, {}, 3, fail)


@pytest.mark.parametrize("code", [3, 4, 5, 8])
def test_a_node_that_was_cut_off_is_asked_again(code: int) -> None:
    messages = ask([1, 2, 3])
    replies = exchange(failing(code, 2), messages, timeout=30)
    assert set(replies) == {1, 2, 3}
    assert not any(reply.has_error() for reply in replies.values())


def test_a_node_that_never_recovers_is_left_with_its_error() -> None:
    replies = exchange(failing(8, 99), ask([1, 2, 3]), timeout=30)
    assert [node_id for node_id, reply in replies.items() if reply.has_error()] == [2]


def test_an_error_of_the_node_itself_is_final() -> None:
    replies = exchange(failing(2, 1), ask([1, 2, 3]), timeout=30)
    assert replies[2].has_error()


def test_a_node_that_is_away_is_asked_when_it_is_back_and_told_as_away_when_it_does_not_come() -> None:
    class Away(InProcessGrid):
        looks = 0
        back_after = 3

        def get_node_ids(self) -> Iterable[int]:
            self.looks += 1
            return [1, 3] if self.looks < self.back_after else [1, 2, 3]

    grid = Away(app, {}, 3, failing(5, 1)._intercept)
    assert not exchange(grid, ask([1, 2, 3]), timeout=30)[2].has_error()
    gone = Away(app, {}, 3, failing(5, 1)._intercept)
    gone.back_after = 10**9
    assert exchange(gone, ask([1, 2, 3]), timeout=0.3)[2].error.code == 5


@pytest.mark.parametrize("node", [1, 2])
def test_an_error_that_the_superlink_signs_belongs_to_the_node_that_was_asked(node: int) -> None:
    def fail(node_id: int, message: Message, reply: Message) -> Message:
        if node_id != node:
            return reply
        failed = Message(Error(2, "gone"), reply_to=message)
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


def test_an_open_exchange_hands_over_each_answer_once_and_silence_after_the_deadline() -> None:
    sent = Exchange(
        InProcessGrid(app, {}, 3, lambda node_id, message, reply: None if node_id == 2 else reply), ask([1, 2, 3]), 0.3
    )
    assert set(sent.take()) == {1, 3}
    assert sent.take() == {}
    assert sent.waits_for == {2}
    sent.wait(600)
    assert sent.waits_for == set()
    assert sent.take() == {2: None}
    assert sent.take() == {}


def test_an_open_exchange_asks_again_who_was_cut_off_at_the_next_look() -> None:
    sent = Exchange(failing(8, 2), ask([1, 2, 3]), 600)
    assert set(sent.take()) == {1, 3}
    assert sent.waits_for == {2}
    assert sent.take() == {}
    (reply,) = sent.take().values()
    assert reply is not None
    assert not reply.has_error()


class Deaf(InProcessGrid):
    """Loses the first messages to node 2, as when its SuperNode dies with one and is back before anybody looks."""

    lost = 1
    asked = 0

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        replies = super().pull_messages(message_ids)
        return [reply for reply in replies if reply.metadata.src_node_id != 2 or self._is_heard()]

    def _is_heard(self) -> bool:
        self.asked += 1
        return self.asked > self.lost


def test_a_node_that_is_silent_for_long_is_asked_again_at_growing_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_module, "LONG_SILENCE", 0.1)
    monkeypatch.setattr(exchange_module, "LEAST_SECONDS", 0.0)
    started = time.monotonic()
    grid = Deaf(app, {}, 3)
    assert set(exchange(grid, ask([1, 2, 3]), timeout=60)) == {1, 2, 3}
    assert 0.1 < time.monotonic() - started < 30
    never = Deaf(app, {}, 3)
    never.lost = 10**9
    assert set(exchange(never, ask([1, 2, 3]), timeout=2.0)) == {1, 3}
    assert never.asked == MOST_TRIES


def test_nobody_is_asked_again_when_no_time_is_left_to_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flower refuses a message that expires on its way, and the run would end with it."""
    monkeypatch.setattr(exchange_module, "LONG_SILENCE", 0.05)
    never = Deaf(app, {}, 3)
    never.lost = 10**9
    assert set(exchange(never, ask([1, 2, 3]), timeout=exchange_module.LEAST_SECONDS)) == {1, 3}
    assert never.asked == 1


@pytest.mark.parametrize("code", [5, 0])
def test_of_two_copies_the_first_answer_counts(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first copy fails after the second was sent: where it was cut off the second still counts, else its error does."""
    monkeypatch.setattr(exchange_module, "LONG_SILENCE", 0.05)
    held: list[Message] = []

    class Late(InProcessGrid):
        def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
            replies = super().pull_messages(message_ids)
            held.extend(reply for reply in replies if reply.metadata.src_node_id == 2)
            if len(held) == 2:
                failed = Message(Error(code, "cut"), reply_to=held[0])
                failed.metadata.__dict__["_reply_to_message_id"] = held[0].metadata.reply_to_message_id
                return [failed, held[1]]
            return [reply for reply in replies if reply.metadata.src_node_id != 2]

    replies = exchange(Late(app, {}, 2), ask([1, 2]), timeout=60)
    assert set(replies) == {1, 2}
    assert replies[2].has_error() == (code == 0)


class Refusing(InProcessGrid):
    """Takes no message for some of its nodes, which it knows, or does not know any more."""

    refused: tuple[int, ...] = ()
    known: tuple[int, ...] = (1, 2, 3)

    def get_node_ids(self) -> list[int]:
        return list(self.known)

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        taken = [message.metadata.dst_node_id not in self.refused for message in messages]
        return [super(Refusing, self).push_messages([m])[0] if ok else "" for m, ok in zip(messages, taken, strict=True)]


def test_nodes_that_are_not_registered_any_more_are_cut_off_and_the_others_answer() -> None:
    grid = Refusing(app, {}, 3)
    grid.refused, grid.known = (1, 3), (2,)
    sent = Exchange(grid, ask([1, 2, 3]), timeout=0.3)
    sent.wait(0.3)
    taken = sent.take()
    assert not taken[2].has_error()
    assert [taken[node_id].error.reason for node_id in (1, 3)] == ["not registered"] * 2


def test_a_node_that_is_registered_again_is_asked_again() -> None:
    grid = Refusing(app, {}, 3)
    grid.refused, grid.known = (1, 3), (2,)
    sent = Exchange(grid, ask([1, 2, 3]), timeout=30)
    grid.refused, grid.known = (), (1, 2, 3)
    sent.wait(30)
    assert not any(reply.has_error() for reply in sent.take().values())


def test_a_run_that_the_superlink_has_ended_ends_and_no_round_passes() -> None:
    grid = Refusing(app, {}, 3)
    grid.refused = (1, 2, 3)
    with pytest.raises(ConcordError, match=r"C408 .*3 messages: it has ended this run"):
        Exchange(grid, ask([1, 2, 3]), timeout=30)


def test_messages_that_grpc_does_not_take_end_the_run_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = InProcessGrid(app, {}, 2)
    monkeypatch.setattr(grid, "push_messages", lambda messages: [])
    with pytest.raises(ConcordError, match=r"C408 .*2 messages: together they have more than 2 GB"):
        Exchange(grid, ask([1, 2]), timeout=30)


class Unreadable(InProcessGrid):
    """Raises, as Flower does, where node 2 has answered with what is no message; and tells of what was pulled with it as lost."""

    asked = 0
    is_away = False

    def __init__(self) -> None:
        super().__init__(app, {}, 3)
        self.lost: dict[str, Message] = {}

    def get_node_ids(self) -> list[int]:
        if self.is_away:
            raise grpc.RpcError("away")
        return super().get_node_ids()

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        messages = list(messages)
        self.asked += sum(message.metadata.dst_node_id == 2 for message in messages)
        pushed = super().push_messages(messages)
        self.lost |= {i: Message(Error(3, "lost"), reply_to=m) for i, m in zip(pushed, messages, strict=True)}
        return pushed

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        message_ids = list(message_ids)
        pulled = super().pull_messages(message_ids)
        if any(reply.metadata.src_node_id == 2 for reply in pulled):
            raise KeyError("CustomDataClass")
        return pulled or [self.lost.pop(message_id) for message_id in message_ids]


@pytest.mark.parametrize("pulls", [32, 1])
def test_a_reply_that_flower_cannot_read_is_an_error_of_its_node(pulls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_module, "MOST_PULLS", pulls)
    grid = Unreadable()
    replies = exchange(grid, ask([1, 2, 3]), timeout=60)
    assert grid.asked == MOST_TRIES
    assert "cannot be read: KeyError" in replies[2].error.reason
    assert not replies[1].has_error()
    assert not replies[3].has_error()


def test_that_the_superlink_does_not_answer_is_no_fault_of_a_node() -> None:
    grid = Unreadable()
    grid.is_away = True
    with pytest.raises(grpc.RpcError, match="away"):
        exchange(grid, ask([1, 2, 3]), timeout=60)
