"""What neighbours have sent and was not mixed yet: by sender and round, and never more than a few rounds of each."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping

from concord.wire.messages import SCHEMA_VERSION
from concord.wire.v1 import federation_pb2 as pb
from peer_app.options import MESSAGE_BYTES

KEPT_ROUNDS = 3  # of each agent; who did not wait for this one is ahead of it


class Mailbox:
    """Updates of neighbours. All methods may be called from any thread.

    Args:
        agents: whose updates are taken.
        current: round that is collected next.
        most_bytes: of an update.
    """

    def __init__(self, agents: Iterable[str] = (), current: int = 1, most_bytes: int = MESSAGE_BYTES) -> None:
        self._changed = threading.Condition()
        self._agents = set(agents)
        self._current, self._most_bytes = current, most_bytes
        self._kept: defaultdict[str, dict[int, pb.SliceUpdate]] = defaultdict(dict)  # by sender and round
        self._excused: defaultdict[int, set[str]] = defaultdict(set)  # by round: who is not waited for

    def admit(self, name: str) -> None:
        """From now on takes updates of this agent too."""
        with self._changed:
            self._agents.add(name)

    def put(self, update: pb.SliceUpdate) -> pb.Receipt:
        """Keeps an update, if it is of an agent that was admitted, and in time.

        A later one of the same round takes its place. Of more than a few rounds of an agent the earliest is forgotten: an
        agent that far behind goes on with a later one.
        """
        with self._changed:
            verdict = self._verdict(update)
            if verdict == pb.VERDICT_TAKEN:
                kept = self._kept[update.agent]
                kept[update.round] = update
                if len(kept) > KEPT_ROUNDS:
                    del kept[min(kept)]
                self._changed.notify_all()
            return pb.Receipt(schema_version=SCHEMA_VERSION, verdict=verdict, round=self._current)

    def excuse(self, round_number: int, name: str) -> None:
        """Nobody waits for an update of `name` in that round any more; one that comes in time is taken all the same."""
        with self._changed:
            if round_number >= self._current:
                self._excused[round_number].add(name)
                self._changed.notify_all()

    def wait(self, round_number: int, deadlines: Mapping[str, float]) -> dict[str, pb.SliceUpdate]:
        """Collects a round: from now on it and those before it are over.

        Args:
            round_number: one that is not over.
            deadlines: by agent, of `time.monotonic`, until when to wait for it. Whoever was not admitted, or has spoken of a
                later round already, is not waited for.

        Returns:
            All updates of that round, by sender.
        """
        with self._changed:
            if round_number < self._current:
                raise ValueError(f"round {round_number} is over, the current one is {self._current}")
            self._advance(round_number)
            while missing := [name for name in deadlines if self._is_missing(round_number, name)]:
                if not self._changed.wait(max(0.0, max(map(deadlines.__getitem__, missing)) - time.monotonic())):
                    break
            updates = {name: kept[round_number] for name, kept in self._kept.items() if round_number in kept}
            self._advance(round_number + 1)
            return updates

    def _is_missing(self, round_number: int, name: str) -> bool:
        latest = max(self._kept.get(name, ()), default=0)
        return name in self._agents and name not in self._excused[round_number] and latest < round_number

    def _advance(self, current: int) -> None:
        self._current = current
        for kept in self._kept.values():
            for over in [number for number in kept if number < current]:
                del kept[over]
        for over in [number for number in self._excused if number < current]:
            del self._excused[over]

    def _verdict(self, update: pb.SliceUpdate) -> pb.Verdict.ValueType:
        if update.agent not in self._agents:
            return pb.VERDICT_STRANGER
        if update.ByteSize() > self._most_bytes:
            return pb.VERDICT_MALFORMED
        kept = self._kept[update.agent]
        is_left_behind = len(kept) == KEPT_ROUNDS and update.round < min(kept)
        return pb.VERDICT_LATE if update.round < self._current or is_left_behind else pb.VERDICT_TAKEN
