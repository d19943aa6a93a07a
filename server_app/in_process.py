"""A grid whose nodes live in this process, for tests and sweeps: no SuperLink, no serialisation, one node after another.

The same ServerApp and ClientApp run on it. It says nothing about deployment: no network, no waiting, no processes.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable

from flwr.app import Context, Error, Message, RecordDict, UserConfig
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.supercore.run import Run

RAISED = 1  # error code of a handler that raised

Intercept = Callable[[int, Message, Message], Message | None]


def pass_on(node_id: int, message: Message, reply: Message) -> Message | None:
    """Leaves every reply as it is."""
    return reply


class InProcessGrid(Grid):
    """Nodes 1..N, each with its partition; a message is worked off when it is pushed.

    Args:
        app: the ClientApp of all nodes.
        run_config: the run config that nodes see.
        nodes: N.
        intercept: called with node id (from 1), message and reply; what it returns is delivered, None is silence.
    """

    def __init__(self, app: ClientApp, run_config: UserConfig, nodes: int, intercept: Intercept = pass_on) -> None:
        self._app, self._intercept = app, intercept
        self._contexts = {
            i + 1: Context(0, i + 1, {"partition-id": i, "num-partitions": nodes}, RecordDict(), dict(run_config))
            for i in range(nodes)
        }
        self._ids = map(str, itertools.count(1))
        self._replies: dict[str, Message] = {}

    def get_node_ids(self) -> list[int]:
        return list(self._contexts)

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        return [self._deliver(message) for message in messages]

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        return [self._replies.pop(i) for i in list(message_ids) if i in self._replies]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        return self.pull_messages(self.push_messages(messages))

    def set_run(self, run: Run) -> None:
        raise NotImplementedError("an in-process grid belongs to no run")

    @property
    def run(self) -> Run:
        raise NotImplementedError("an in-process grid belongs to no run")

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def _deliver(self, message: Message) -> str:
        message_id = next(self._ids)
        message.metadata.__dict__["_message_id"] = message_id
        node_id = message.metadata.dst_node_id
        try:
            reply = self._app(copy.deepcopy(message), self._contexts[node_id])
        except Exception as error:  # as Flower does with a handler that raises
            reply = Message(Error(RAISED, f"{type(error).__name__}: {error}"), reply_to=message)
        delivered = self._intercept(node_id, message, reply)
        if delivered is not None:
            self._replies[message_id] = delivered
        return message_id
