"""One agent on its own machine: it trains, says its slices to its neighbours, waits for theirs a while, mixes, and goes on.

Nothing that another agent does ends it or holds it up for long: who is silent is left out, once waited for, and waited for
half as long each time until it goes on; who has gone too far ahead is caught up with; who is gone is missed in no
overlay. What every agent did in every round is in the log.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from client_app.agents.agent import SILENT, Agent, Heard
from concord.run_folder import Line, RunFolder
from concord.wire.v1 import federation_pb2 as pb
from peer_app.log import Delivery, delivery_lines, figure_lines, link_lines, member_line, round_line
from peer_app.mailbox import Mailbox
from peer_app.membership import Membership, UnfitError, majority_round
from peer_app.neighbours import Answer, Neighbours, Reason
from peer_app.service import RefusedError

GREETERS = 16  # greetings at once
GREET_SECONDS = 5.0
NAMED = 5  # of those who are waited for
GREET_PAUSE = 0.5  # between attempts to find those who are still to come, before round 1
SHORT_PATIENCE = 2.0  # at least, for what is sent to somebody who is waited for no longer
TROUBLES = 8  # lines of the log on why one agent and this one do not talk
MISMATCH_LETTERS = 500  # of a line of the log; names of tensors come from others


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
        most_bytes = self.agent.most_bytes(1 + len(self.membership.others))
        self.mailbox = Mailbox(current=self._next_round(), most_bytes=most_bytes)
        self._vain: Counter[str] = Counter()  # by neighbour: rounds in a row in which it was waited for in vain
        self._lock = threading.Lock()
        self._greeters = ThreadPoolExecutor(GREETERS, "concord-greet")
        self._seekers = ThreadPoolExecutor(
            GREETERS, "concord-seek"
        )  # of those who are gone: they keep nobody else from a greeting
        self._greeting: set[str] = set()
        self._said: dict[str, int] = {}  # by neighbour: the last round of which it has spoken
        self._troubles: defaultdict[str, set[str]] = defaultdict(set)  # by agent: why not, as told in the log
        self._closing = False
        self._under_way: list[Delivery] = []
        self._mismatches: frozenset[str] = frozenset()  # what is not exchanged, as told in the log

    # What answers when others call: several threads at once.

    def objection(self, caller: str) -> str:
        """Why nothing of this caller is read; empty: it may speak."""
        if why := self.membership.objection(caller):
            self._tell_trouble(caller, "refused", why)
        return why

    def greet(self, hello: pb.Hello) -> pb.Hello:
        """Lets an agent in, and introduces this one; RefusedError where the two cannot work together."""
        try:
            self._let_in(hello)
        except UnfitError as error:
            self._tell_trouble(hello.agent, "refused", str(error))
            raise RefusedError(str(error)) from error
        return self._hello()

    def deliver(self, update: pb.SliceUpdate) -> pb.Receipt:
        """Takes what a neighbour says."""
        receipt = self.mailbox.put(update)
        if receipt.verdict == pb.VERDICT_MALFORMED:
            self._tell_trouble(update.agent, "refused", f"an update of {update.ByteSize()} bytes is too large")
        elif receipt.verdict != pb.VERDICT_STRANGER:
            self.membership.hear(update)
            if update.round > self._said.get(update.agent, 0):  # it may be behind, but it goes on: it is waited for again
                self._said[update.agent] = update.round
                del self._vain[update.agent]
        return receipt

    # The loop.

    def run(self) -> None:
        """All rounds that are left, and the figures after the last one."""
        self.find_others(self.start_patience if self.agent.round_ == 0 else 0.0)  # the others do not wait for one that returns
        while self.agent.trained or self.agent.round_ < self.agent.config.rounds:
            self.round()
        wait([delivery.answer for delivery in self._under_way], self.patience)  # the others may still need what was said last
        self._write(delivery_lines(self._ended()))
        with self._lock:
            self._closing = True
        for pool in (self._greeters, self._seekers):
            pool.shutdown(cancel_futures=True)

    def find_others(self, patience: float) -> None:
        """Greets all who are not there yet, once at least, until they are or patience ends."""
        deadline = time.monotonic() + patience
        missing = self._greet_absent()
        if missing and time.monotonic() <= deadline:
            who = ", ".join(missing[:NAMED]) + (f" and {len(missing) - NAMED} more" if len(missing) > NAMED else "")
            self._write([member_line(self._next_round(), self.agent.name, "waits", f"for {who}, {patience:g} s at most")])
        while missing and time.monotonic() <= deadline:
            time.sleep(GREET_PAUSE)
            missing = self._greet_absent()

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
        self._say(round_)
        heard = self._listen(round_)
        evaluations = self.agent.evaluate()
        ended = self._ended()
        links = link_lines(round_, heard, ended)
        there = self.membership.present()
        lines = [
            *links,
            *figure_lines(round_, evaluations),
            *(member_line(round_, name, "gone") for name in sorted(before - there)),
            round_line(round_, self.agent.config.rounds, time.monotonic() - started, losses, links, len(there)),
        ]
        self._write(lines)
        self.folder.sync_metrics()
        self.agent.end_round()
        said = {delivery.neighbour: receipt.round for delivery in ended if (receipt := delivery.receipt)}
        self._catch_up(round_, {name: said.get(name, round_) for name in self.agent.links})
        for name in self.membership.quiet():  # who returns is let in when it answers
            self._greet_soon(name)

    def _tell_mismatches(self, round_: int) -> None:
        """Writes down, once, what this agent does not exchange with all because their tensors differ."""
        own = {manifest.group for manifest in self.agent.offer}
        mismatches = frozenset(told for name, told in self.membership.agreement().mismatches.items() if name in own)
        fresh = sorted(mismatches - self._mismatches)
        self._mismatches = mismatches
        self._write([member_line(round_, self.agent.name, "mismatch", mismatch[:MISMATCH_LETTERS]) for mismatch in fresh])

    def _say(self, round_: int) -> None:
        for name, update in self.agent.updates(self.membership.heard()).items():
            seconds = max(SHORT_PATIENCE, self._patience_with(name))
            answer = self.neighbours.start_delivery({name: update}, seconds)[name]
            answer.add_done_callback(lambda done, name=name: self._excuse_if_ahead(name, round_, done))  # type: ignore[misc]
            self._under_way.append(Delivery(round_, name, update.ByteSize(), answer))

    def _listen(self, round_: int) -> list[Heard]:
        """Waits for the neighbours, and mixes in what they said."""
        now = time.monotonic()
        deadlines = {name: now + self._patience_with(name) for name in self.agent.links}
        heard = self.agent.mix(self.mailbox.wait(round_, deadlines))
        now = time.monotonic()
        for h in heard:
            if h.outcome != SILENT:
                del self._vain[h.neighbour]
            elif now >= deadlines[h.neighbour]:
                self._vain[h.neighbour] += 1
        return heard

    def _patience_with(self, name: str) -> float:
        return self.patience * 0.5 ** self._vain[name]

    def _ended(self) -> list[Delivery]:
        """Deliveries that have ended since the last call, the earliest first."""
        ended = [delivery for delivery in self._under_way if delivery.answer.done()]
        self._under_way = [delivery for delivery in self._under_way if delivery not in ended]
        return ended

    def _excuse_if_ahead(self, name: str, round_: int, done: Future[Answer[pb.Receipt]]) -> None:
        """Nobody waits for one who has left this round behind: what it said in it is lost, or here already."""
        receipt = done.result().message
        verdict = receipt.verdict if receipt is not None else None
        if verdict != pb.VERDICT_TAKEN:
            self.mailbox.excuse(round_, name)
        if verdict == pb.VERDICT_STRANGER:
            self._greet_soon(name)  # it was started again and does not know this one

    def _catch_up(self, round_: int, rounds: Mapping[str, int]) -> None:
        """Leaves out rounds that most neighbours have done without this agent; on the word of one alone, a few at a time."""
        ahead = min(majority_round(rounds), self.agent.config.rounds)
        if len(rounds) == 1:
            ahead = min(ahead, round_ + 1 + self.agent.config.overlay.patience)
        if ahead > round_ + 1:
            self.agent.skip_to(ahead - 1)
            self.membership.skip_to(ahead - 1)
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
            pool = self._greeters if name in self.membership.present() else self._seekers
            pool.submit(self._greet_once, name)

    def _greet_once(self, name: str) -> None:
        try:
            self._greet(name, SHORT_PATIENCE)
        finally:
            self._greeting.discard(name)

    def _greet_absent(self) -> list[str]:
        """Greets all who are not there; who is not there then."""
        list(self._greeters.map(lambda name: self._greet(name, GREET_SECONDS), sorted(self.membership.absent())))
        return sorted(self.membership.absent())

    def _greet(self, name: str, seconds: float) -> None:
        answer = self.neighbours.greet(name, self._hello(), seconds)
        if answer.message is None:
            event = Reason.REFUSED if answer.reason is Reason.REFUSED else Reason.UNREACHABLE
            self._tell_trouble(name, event, answer.detail if answer.reason is event else str(answer))
            return
        try:
            self._let_in(answer.message)
        except UnfitError as error:
            self._tell_trouble(name, "refused", str(error))

    def _let_in(self, hello: pb.Hello) -> None:
        came = self.membership.take(hello)
        self.mailbox.admit(hello.agent)
        if came:
            self._write([member_line(self._next_round(), hello.agent, "there", f"in round {hello.round}")])

    def _tell_trouble(self, name: str, event: str, why: str) -> None:
        """Writes down why another agent and this one do not talk; the same only once, and not without end."""
        with self._lock:
            told = self._troubles[name]
            if self._closing or why in told or len(told) == TROUBLES:
                return
            told.add(why)
        self._write([member_line(self._next_round(), name, event, why)])

    def _write(self, lines: list[Line]) -> None:
        with self._lock:
            for line in lines:
                self.folder.append_metrics(line)
        for line in lines:
            self.tell(line)
