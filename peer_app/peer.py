"""One agent on its own machine: it trains, says its slices to its neighbours, waits for theirs a while, mixes, and goes on.

Nothing that another agent does ends it or holds it up for longer than its patience: who is silent is left out, once waited
for, and not waited for again until it speaks; who has gone too far ahead is caught up with; who is gone is missed in no
overlay. What every agent did in every round is in the log.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from client_app.agents.agent import SILENT, Agent
from concord.run_folder import Line, RunFolder
from concord.wire.v1 import federation_pb2 as pb
from peer_app.log import figure_lines, link_lines, member_line, round_line
from peer_app.mailbox import Mailbox
from peer_app.membership import Membership, UnfitError, majority_round
from peer_app.neighbours import Answer, Neighbours
from peer_app.service import RefusedError

GREET_SECONDS = 5.0
GREET_PAUSE = 0.5  # between attempts to find those who are still to come, before round 1
SHORT_PATIENCE = 2.0  # for what is sent to somebody who was silent
MISMATCH_LETTERS = 500  # of a line of the log; names of tensors come from others
Deliveries = Mapping[str, Future[Answer[pb.Receipt]]]


@dataclass
class Peer:
    """The loop of one agent, and what answers when others call.

    Attributes:
        agent: it trains and mixes.
        membership: who is there.
        neighbours: calls to others.
        folder: where the log is.
        start_patience: seconds that it waits for all others before round 1.
        patience: seconds that it waits for neighbours in a round.
        tell: told of every line of the log.
    """

    agent: Agent
    membership: Membership
    neighbours: Neighbours
    folder: RunFolder
    start_patience: float
    patience: float
    tell: Callable[[Line], None] = field(default=lambda line: None)

    def __post_init__(self) -> None:
        self.mailbox = Mailbox(current=self._next_round())
        self._silent: set[str] = set()  # who said nothing when it was waited for, and nothing since
        self._lock = threading.Lock()
        self._greeters = ThreadPoolExecutor(max(1, min(16, len(self.membership.others))), "concord-greet")
        self._greeting: set[str] = set()
        self._closing = False
        self._deliveries: Deliveries = {}
        self._mismatches: frozenset[str] = frozenset()  # what is not exchanged, as told in the log

    # What answers when others call: several threads at once.

    def greet(self, hello: pb.Hello) -> pb.Hello:
        """Lets an agent in, and introduces this one; RefusedError where the two cannot work together."""
        try:
            self._let_in(hello)
        except UnfitError as error:
            raise RefusedError(str(error)) from error
        return self._hello()

    def deliver(self, update: pb.SliceUpdate) -> pb.Receipt:
        """Takes what a neighbour says."""
        receipt = self.mailbox.put(update)
        if receipt.verdict != pb.VERDICT_STRANGER:
            self.membership.hear(update)
            self._silent.discard(update.agent)
        return receipt

    # The loop.

    def run(self) -> None:
        """All rounds that are left, and the figures after the last one."""
        self.find_others(self.start_patience if self.agent.round_ == 0 else 0.0)  # the others do not wait for one that returns
        while self.agent.trained or self.agent.round_ < self.agent.config.rounds:
            self.round()
        wait(self._deliveries.values(), SHORT_PATIENCE)  # the others may still need what was said last
        with self._lock:
            self._closing = True
        self._greeters.shutdown(cancel_futures=True)

    def find_others(self, patience: float) -> None:
        """Greets all who are not there yet, once at least, until they are or patience ends."""
        deadline = time.monotonic() + patience
        while absent := sorted(self.membership.absent()):
            list(self._greeters.map(lambda name: self._greet(name, GREET_SECONDS), absent))
            if not self.membership.absent() or time.monotonic() > deadline:
                break
            time.sleep(GREET_PAUSE)

    def round(self) -> None:
        """One round: trains (unless that was done before the agent was started again), says, waits, mixes, evaluates."""
        started = time.monotonic()
        round_ = self._next_round()
        before = self.membership.present()
        self.membership.enter(round_)
        self._tell_mismatches(round_)
        losses: dict[str, float] = {}
        if not self.agent.trained:
            losses = self.agent.train(round_, self.membership.agreement().links(self.agent.name))
        self._deliveries = deliveries = self._say(round_)
        awaited = deliveries.keys() - self._silent
        received = self.mailbox.wait(round_, awaited, time.monotonic() + self.patience)
        heard = self.agent.mix(received)
        self._silent |= {h.neighbour for h in heard if h.outcome == SILENT and h.neighbour in awaited}
        self.agent.end_round()
        answers = {name: future.result() for name, future in deliveries.items() if future.done()}
        lines = [
            *link_lines(round_, heard, {name: _verdict(answer) for name, answer in answers.items()}),
            *figure_lines(round_, self.agent.evaluate()),
            *(member_line(round_, name, "gone") for name in sorted(before - self.membership.present())),
            round_line(
                round_, self.agent.config.rounds, time.monotonic() - started, losses, heard, len(self.membership.present())
            ),
        ]
        self._write(lines)
        self._catch_up(round_, {name: a.message.round for name, a in answers.items() if a.message is not None})
        for name in self.membership.quiet():  # who returns is let in when it answers
            self._greet_soon(name)

    def _tell_mismatches(self, round_: int) -> None:
        """Writes down, once, what agents do not exchange because their tensors differ."""
        mismatches = frozenset(self.membership.agreement().mismatches)
        fresh = sorted(mismatches - self._mismatches)
        self._mismatches = mismatches
        self._write([member_line(round_, self.agent.name, "mismatch", mismatch[:MISMATCH_LETTERS]) for mismatch in fresh])

    def _say(self, round_: int) -> Deliveries:
        updates = self.agent.updates(self.membership.heard())
        patient = {name: update for name, update in updates.items() if name not in self._silent}
        futures = self.neighbours.start_delivery(patient, self.patience)
        for name, future in futures.items():
            future.add_done_callback(lambda done, name=name: self._excuse_if_ahead(name, round_, done))  # type: ignore[misc]
        others = {name: update for name, update in updates.items() if name in self._silent}
        return futures | self.neighbours.start_delivery(others, SHORT_PATIENCE)

    def _excuse_if_ahead(self, name: str, round_: int, done: Future[Answer[pb.Receipt]]) -> None:
        """Nobody waits for one who has left this round behind: what it said in it is lost, or here already."""
        receipt = done.result().message
        verdict = receipt.verdict if receipt is not None else None
        if verdict not in (pb.VERDICT_TAKEN, pb.VERDICT_EARLY):
            self.mailbox.excuse(round_, name)
        if verdict == pb.VERDICT_STRANGER:
            self._greet_soon(name)  # it was started again and does not know this one

    def _catch_up(self, round_: int, rounds: Mapping[str, int]) -> None:
        ahead = min(majority_round(rounds), self.agent.config.rounds)
        if ahead > round_ + 1:
            self.agent.skip_to(ahead - 1)
            self._write([member_line(round_, self.agent.name, "caught up", f"goes on with round {ahead}")])

    def _next_round(self) -> int:
        return self.agent.round_ + (0 if self.agent.trained else 1)

    def _hello(self) -> pb.Hello:
        hello = self.agent.hello()
        hello.round = self._next_round()
        return hello

    def _greet_soon(self, name: str) -> None:
        """Greets in the background, unless that is under way."""
        with self._lock:
            if self._closing or name in self._greeting:
                return
            self._greeting.add(name)
            self._greeters.submit(self._greet_once, name)

    def _greet_once(self, name: str) -> None:
        try:
            self._greet(name, SHORT_PATIENCE)
        finally:
            self._greeting.discard(name)

    def _greet(self, name: str, seconds: float) -> None:
        answer = self.neighbours.greet(name, self._hello(), seconds)
        if answer.message is None:
            return
        try:
            self._let_in(answer.message)
        except UnfitError as error:
            self._write([member_line(self._next_round(), name, "refused", str(error))])

    def _let_in(self, hello: pb.Hello) -> None:
        was_there = hello.agent in self.membership.present()
        self.membership.take(hello)
        self._silent.discard(hello.agent)
        self.mailbox.know(self.membership.known())
        if not was_there:
            self._write([member_line(self._next_round(), hello.agent, "there", f"in round {hello.round}")])

    def _write(self, lines: list[Line]) -> None:
        with self._lock:
            for line in lines:
                self.folder.append_metrics(line)
        for line in lines:
            self.tell(line)


def _verdict(answer: Answer[pb.Receipt]) -> str:
    if answer.message is None:
        return str(answer)
    return pb.Verdict.Name(answer.message.verdict).removeprefix("VERDICT_").lower()
