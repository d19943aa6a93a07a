"""Sends messages and collects replies until all are there or the deadline has passed.

A node whose process or connection was cut is asked again when it is back: what it computes depends on nothing but its
data, its disk and the message, so the second answer is the one that the first would have been. A node that answered
with an error of its own is not. Nobody tells of a node that was cut off and let in again between two looks, so one that
is silent for long is asked again as well; it answers twice without computing twice (`client_app/answers.py`).

Flower's `Grid.send_and_receive` polls every three seconds; the public push and pull calls allow a shorter wait. A reply that
Flower cannot build from what a node uploaded raises in the pull: that is the node's fault, and must not end the run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from logging import WARNING

from flwr.app import Error, Message
from flwr.common import log
from flwr.serverapp import Grid

from concord.errors import ConcordError

FIRST_POLL, LONGEST_POLL = 0.02, 0.5  # seconds
MOST_TRIES = 4
MOST_PULLS = 32  # a look: what comes with a reply that cannot be read is lost, so few are pulled together
LEAST_SECONDS = 2.0  # that are left to an answer: Flower refuses a message that expires on its way
LONG_SILENCE = 90.0  # seconds until a node is asked again, then twice as many; Flower takes 60 to notice one that is gone

# Flower's codes for a message or reply that was lost, a node that is away, and a ClientApp process that died.
UNREADABLE, NODE_AWAY = 4, 5
INTERRUPTED = (3, UNREADABLE, NODE_AWAY, 8)


@dataclass(eq=False)
class _Asked:
    """A message on its way: to be sent again while `again` holds the error that came back, or when nothing comes.

    Attributes:
        message: as it was sent last.
        since: when that was, in seconds of the monotonic clock.
        tries: how often it was sent.
        alone: whether its replies are looked for apart from those of others, since one among them could not be read.
    """

    message: Message
    since: float
    tries: int = 1
    again: Message | None = None
    alone: bool = False

    @property
    def node_id(self) -> int:
        return int(self.message.metadata.dst_node_id)


class Exchange:
    """Messages that were sent and what has come back of them.

    Args:
        grid: where the nodes are.
        messages: one a node at most.
        timeout: seconds until nobody is waited for any more.

    Raises:
        ConcordError: C408, here and in `wait`, when the SuperLink takes no messages of this run.
    """

    def __init__(self, grid: Grid, messages: Sequence[Message], timeout: float) -> None:
        self._grid = grid
        self._deadline = time.monotonic() + timeout
        self._pending: dict[str, _Asked] = {}
        self._cut: list[_Asked] = []
        self._replies: dict[int, Message] = {}
        self._push([_Asked(message, time.monotonic()) for message in messages])

    @property
    def remaining(self) -> float:
        """Seconds until the deadline."""
        return self._deadline - time.monotonic()

    @property
    def waits_for(self) -> set[int]:
        """Ids of the nodes that may still answer."""
        return {one.node_id for one in (*self._pending.values(), *self._cut)} if self.remaining > 0 else set()

    def wait(self, seconds: float) -> None:
        """Collects for so many seconds, or until there is nobody left to wait for."""
        until = time.monotonic() + min(seconds, self.remaining)
        pause = FIRST_POLL
        while True:
            arrived = self._collect()
            left = until - time.monotonic()
            if left <= 0 or not self.waits_for:
                return
            pause = FIRST_POLL if arrived else min(LONGEST_POLL, pause * 1.5)
            time.sleep(min(pause, left))

    def take(self) -> dict[int, Message | None]:
        """What has come since the last look, by the node id that was asked.

        After the deadline: the error of a node that was cut off and did not come back, None for one that was silent.
        """
        self._collect()
        taken: dict[int, Message | None] = dict(self._replies)
        self._replies = {}
        if self.remaining <= 0:
            taken |= {one.node_id: one.again for one in (*self._pending.values(), *self._cut)}
            self._pending, self._cut = {}, []
        return taken

    def _collect(self) -> int:
        """Takes what has come and asks again who was cut off or is silent; the number of messages that came."""
        arrived = [pair for message_ids in self._pulls() for pair in self._pull(message_ids)]
        for message_id, reply in arrived:  # an error reply that the SuperLink makes itself does not come from the node's id
            one = self._pending.pop(message_id, None)
            if one is None:
                continue
            interrupted = reply.has_error() and reply.error.code in INTERRUPTED
            if interrupted and one in self._pending.values():
                continue  # another copy of the message may still be answered
            if interrupted and one.tries < MOST_TRIES:
                one.again = reply
                self._cut.append(one)
            else:
                self._pending = {message_id: other for message_id, other in self._pending.items() if other is not one}
                self._replies[one.node_id] = reply
        if self.remaining > LEAST_SECONDS:
            self._ask_again()
        return len(arrived)

    def _pulls(self) -> Iterator[list[str]]:
        """Ids of the messages whose replies are looked for together."""
        together = [message_id for message_id, one in self._pending.items() if not one.alone]
        alone = [message_id for message_id, one in self._pending.items() if one.alone]
        each = math.ceil(len(together) / MOST_PULLS) or 1
        yield from (together[i : i + each] for i in range(0, len(together), each))
        yield from ([message_id] for message_id in alone)

    def _pull(self, message_ids: list[str]) -> list[tuple[str, Message]]:
        """The replies that are there, each with the id of what it answers; of one that cannot be read, an error in its place."""
        try:
            return [(reply.metadata.reply_to_message_id, reply) for reply in self._grid.pull_messages(message_ids)]
        except Exception as error:  # whatever the SuperLink and Flower make of what a node uploaded
            self._grid.get_node_ids()  # raises as well where it is the SuperLink that is away, or has ended the run
            if len(message_ids) > 1:  # Flower tells of each that it is lost, or still gives its answer, in the next look
                for message_id in message_ids:
                    self._pending[message_id].alone = True
                return []
            why = Error(UNREADABLE, f"a reply that cannot be read: {type(error).__name__}: {error}")
            return [(message_id, Message(why, reply_to=self._pending[message_id].message)) for message_id in message_ids]

    def _push(self, asked: Sequence[_Asked]) -> None:
        """Sends; whose message the SuperLink does not take counts as cut off, since it is not registered any more."""
        message_ids = list(self._grid.push_messages([one.message for one in asked]))
        if len(message_ids) != len(asked):  # Flower then returns none
            raise _takes_none(asked, "together they have more than 2 GB")
        sent = list(zip(message_ids, asked, strict=True))
        if refused := [one for message_id, one in sent if not message_id]:
            if self.remaining > 0 and {one.node_id for one in refused} & set(self._grid.get_node_ids()):
                raise _takes_none(asked, "it has ended this run")
            for one in refused:
                one.again = Message(Error(NODE_AWAY, "not registered"), reply_to=one.message)
            self._cut += refused
        self._pending |= {message_id: one for message_id, one in sent if message_id}

    def _ask_again(self) -> None:
        silent = [one for one in self._pending.values() if one.tries < MOST_TRIES and _is_silent(one)]
        if not silent and not self._cut:
            return
        there = set(self._grid.get_node_ids())
        ready = [one for one in (*self._cut, *dict.fromkeys(silent)) if one.node_id in there]
        for one in ready:
            about = one.message.metadata
            why = one.again.error.reason if one.again is not None else "no answer so far"
            log(WARNING, "asking node %d again: %s", one.node_id, why)
            one.message = Message(
                one.message.content,
                dst_node_id=one.node_id,
                message_type=about.message_type,
                ttl=self.remaining,
                group_id=about.group_id,
            )
            one.tries, one.since, one.again = one.tries + 1, time.monotonic(), None
        self._cut = [one for one in self._cut if one not in ready]
        if ready:
            self._push(ready)


def _takes_none(asked: Sequence[_Asked], why: str) -> ConcordError:
    hint = "submit the run again: it goes on after the last finished round, which is in its checkpoint"
    return ConcordError("C408", f"{len(asked)} messages: {why}", hint)


def _is_silent(one: _Asked) -> bool:
    return time.monotonic() - one.since > LONG_SILENCE * float(2 ** (one.tries - 1))


def exchange(grid: Grid, messages: Sequence[Message], timeout: float) -> dict[int, Message]:
    """Replies by the node id that was asked; a node that stays silent until `timeout` (seconds) is missing."""
    sent = Exchange(grid, messages, timeout)
    sent.wait(timeout)
    return {node_id: reply for node_id, reply in sent.take().items() if reply is not None}
