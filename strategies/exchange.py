"""Sends messages and collects replies until all are there or the deadline has passed.

A node whose process or connection was cut is asked again when it is back: what it computes depends on nothing but its
data, its disk and the message, so the second answer is the one that the first would have been. A node that answered
with an error of its own is not.

Flower's `Grid.send_and_receive` polls every three seconds; the public push and pull calls allow a shorter wait.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from logging import WARNING

from flwr.app import Message
from flwr.common import log
from flwr.serverapp import Grid

FIRST_POLL, LONGEST_POLL = 0.02, 0.5  # seconds
MOST_TRIES = 4

# Flower's codes for a message or reply that was lost, a node that is away, and a ClientApp process that died.
INTERRUPTED = (3, 4, 5, 8)


@dataclass
class _Asked:
    """A message on its way: to be sent again while `again` holds the error that came back."""

    message: Message
    tries: int = 1
    again: Message | None = None


def exchange(grid: Grid, messages: Sequence[Message], timeout: float) -> dict[int, Message]:
    """Replies by the node id that was asked; a node that stays silent until `timeout` (seconds) is missing."""
    deadline = time.monotonic() + timeout
    asked = [_Asked(message) for message in messages]
    pending = dict(zip(grid.push_messages(messages), asked, strict=True))
    waiting: list[_Asked] = []
    replies: dict[int, Message] = {}
    pause = FIRST_POLL
    while True:
        arrived = list(grid.pull_messages(list(pending))) if pending else []
        for reply in arrived:
            # An error reply that the SuperLink makes itself does not come from the node's id.
            one = pending.pop(reply.metadata.reply_to_message_id, None)
            if one is None:
                continue
            if reply.has_error() and reply.error.code in INTERRUPTED and one.tries < MOST_TRIES:
                one.again = reply
                waiting.append(one)
            else:
                replies[one.message.metadata.dst_node_id] = reply
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            return replies | {one.message.metadata.dst_node_id: one.again for one in waiting if one.again is not None}
        if waiting:
            pending |= _ask_again(grid, waiting, remaining)
        if not pending and not waiting:
            return replies
        pause = FIRST_POLL if arrived else min(LONGEST_POLL, pause * 1.5)
        time.sleep(min(pause, remaining))


def _ask_again(grid: Grid, waiting: list[_Asked], remaining: float) -> dict[str, _Asked]:
    """Sends what waits for nodes that are there, and takes it out of `waiting`; by the ids of the new messages."""
    there = set(grid.get_node_ids())
    ready = [one for one in waiting if one.message.metadata.dst_node_id in there]
    for one in ready:
        about = one.message.metadata
        error = one.again.error if one.again is not None else None
        log(WARNING, "asking node %d again: %s", about.dst_node_id, error.reason if error else "")
        one.message = Message(
            one.message.content,
            dst_node_id=about.dst_node_id,
            message_type=about.message_type,
            ttl=remaining,
            group_id=about.group_id,
        )
        one.tries += 1
        waiting.remove(one)
    return dict(zip(grid.push_messages([one.message for one in ready]), ready, strict=True)) if ready else {}
