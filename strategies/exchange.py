"""Sends messages and collects replies until all are there or the deadline has passed.

Flower's `Grid.send_and_receive` polls every three seconds; the public push and pull calls allow a shorter wait.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from flwr.app import Message
from flwr.serverapp import Grid

FIRST_POLL, LONGEST_POLL = 0.02, 0.5  # seconds


def exchange(grid: Grid, messages: Sequence[Message], timeout: float) -> dict[int, Message]:
    """Replies by the node id that was asked; a node that stays silent until `timeout` (seconds) is missing."""
    deadline = time.monotonic() + timeout
    pending = dict(zip(grid.push_messages(messages), (m.metadata.dst_node_id for m in messages), strict=True))
    replies: dict[int, Message] = {}
    pause = FIRST_POLL
    while True:
        arrived = list(grid.pull_messages(list(pending))) if pending else []
        for reply in arrived:
            # An error reply that the SuperLink makes itself does not come from the node's id.
            node_id = pending.pop(reply.metadata.reply_to_message_id, None)
            if node_id is not None:
                replies[node_id] = reply
        remaining = deadline - time.monotonic()
        if not pending or remaining <= 0:
            return replies
        pause = FIRST_POLL if arrived else min(LONGEST_POLL, pause * 1.5)
        time.sleep(min(pause, remaining))
