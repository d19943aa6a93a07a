"""What neighbours have sent and was not mixed yet: by round and sender, and never more than a few rounds of each."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterable

from concord.wire.messages import SCHEMA_VERSION
from concord.wire.v1 import federation_pb2 as pb

ROUNDS_AHEAD = 2  # a neighbour that did not wait for this agent may be so far; memory for so many updates more of each


class Mailbox:
    """Updates of neighbours. All methods may be called from any thread.

    Args:
        neighbours: whose updates are taken.
        current: round that is collected next.
        ahead: rounds after it of which updates are kept too.
    """

    def __init__(self, neighbours: Iterable[str] = (), current: int = 1, ahead: int = ROUNDS_AHEAD) -> None:
        self._changed = threading.Condition()
        self._neighbours = frozenset(neighbours)
        self._current, self._ahead = current, ahead
        self._kept: defaultdict[int, dict[str, pb.SliceUpdate]] = defaultdict(dict)  # by round and sender
        self._excused: defaultdict[int, set[str]] = defaultdict(set)  # by round: who is not waited for

    def know(self, neighbours: Iterable[str]) -> None:
        """From now on takes updates of these alone, and forgets those of others."""
        with self._changed:
            self._neighbours = frozenset(neighbours)
            for updates in self._kept.values():
                for stranger in updates.keys() - self._neighbours:
                    del updates[stranger]
            self._changed.notify_all()

    def put(self, update: pb.SliceUpdate) -> pb.Receipt:
        """Keeps an update, if it is of a neighbour and in time; a later one of the same round takes its place."""
        with self._changed:
            verdict = self._verdict(update)
            if verdict == pb.VERDICT_TAKEN:
                self._kept[update.round][update.agent] = update
                self._changed.notify_all()
            return pb.Receipt(schema_version=SCHEMA_VERSION, verdict=verdict, round=self._current)

    def excuse(self, round_number: int, name: str) -> None:
        """Nobody waits for an update of `name` in that round any more; one that comes in time is taken all the same."""
        with self._changed:
            if round_number >= self._current:
                self._excused[round_number].add(name)
                self._changed.notify_all()

    def wait(self, round_number: int, names: Collection[str], deadline: float) -> dict[str, pb.SliceUpdate]:
        """Collects a round: from now on it and those before it are over.

        Args:
            round_number: one that is not over.
            names: whom to wait for; whoever is no neighbour, or is none any more, is not waited for.
            deadline: of `time.monotonic`, when it returns at the latest.

        Returns:
            All updates of that round, by sender.
        """
        with self._changed:
            if round_number < self._current:
                raise ValueError(f"round {round_number} is over, the current one is {self._current}")
            self._advance(round_number)
            while self._neighbours.intersection(names) - self._excused[round_number] - self._kept[round_number].keys():
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    break
            updates = self._kept[round_number]
            self._advance(round_number + 1)
            return updates

    def _advance(self, current: int) -> None:
        self._current = current
        for kept in (self._kept, self._excused):
            for over in [number for number in kept if number < current]:
                del kept[over]

    def _verdict(self, update: pb.SliceUpdate) -> pb.Verdict.ValueType:
        if update.agent not in self._neighbours:
            return pb.VERDICT_STRANGER
        if update.round < self._current:
            return pb.VERDICT_LATE
        return pb.VERDICT_EARLY if update.round > self._current + self._ahead else pb.VERDICT_TAKEN
