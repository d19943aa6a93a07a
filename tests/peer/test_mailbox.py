"""The mailbox against a plain model of it, and under many threads."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from loopback import TIMEOUT, update

from concord.wire.v1 import federation_pb2 as pb
from peer_app.mailbox import ROUNDS_AHEAD, Mailbox

AGENTS = ("anna", "bert", "carl", "dora")
agents = st.sampled_from(AGENTS)
known = st.frozensets(agents)

pytestmark = pytest.mark.timeout(60)


def test_verdicts() -> None:
    mailbox = Mailbox(["anna"], current=5, ahead=2)
    verdicts = {number: mailbox.put(update("anna", number)).verdict for number in (4, 5, 7, 8)}
    expected = {4: pb.VERDICT_LATE, 5: pb.VERDICT_TAKEN, 7: pb.VERDICT_TAKEN, 8: pb.VERDICT_EARLY}
    assert verdicts == expected
    receipt = mailbox.put(update("bert", 5))
    assert (receipt.verdict, receipt.round, receipt.schema_version) == (pb.VERDICT_STRANGER, 5, 1)


def test_a_round_is_over_once_it_was_waited_for() -> None:
    mailbox = Mailbox(["anna"])
    mailbox.put(update("anna", 2))
    assert mailbox.wait(1, [], 0.0) == {}
    assert mailbox.put(update("anna", 1)).verdict == pb.VERDICT_LATE
    assert mailbox.wait(2, ["anna"], 0.0) == {"anna": update("anna", 2)}
    with pytest.raises(ValueError, match="round 2 is over, the current one is 3"):
        mailbox.wait(2, [], 0.0)


def test_it_waits_until_the_last_has_spoken_and_no_longer() -> None:
    mailbox = Mailbox(AGENTS)
    mailbox.put(update("anna"))
    timer = threading.Timer(0.1, mailbox.put, [update("bert")])
    begin = time.monotonic()
    timer.start()
    assert mailbox.wait(1, ["anna", "bert"], begin + TIMEOUT).keys() == {"anna", "bert"}
    timer.join()
    assert 0.05 < time.monotonic() - begin < TIMEOUT / 2


def test_it_waits_for_the_silent_until_the_deadline() -> None:
    mailbox = Mailbox(AGENTS)
    mailbox.put(update("anna"))
    begin = time.monotonic()
    assert mailbox.wait(1, ["anna", "bert"], begin + 0.2).keys() == {"anna"}
    assert 0.2 <= time.monotonic() - begin < TIMEOUT / 2


def test_nobody_waits_for_one_that_is_excused_and_it_may_still_speak() -> None:
    mailbox = Mailbox(AGENTS)
    timer = threading.Timer(0.1, mailbox.excuse, [1, "anna"])
    begin = time.monotonic()
    timer.start()
    assert mailbox.wait(1, ["anna"], begin + TIMEOUT) == {}
    timer.join()
    assert time.monotonic() - begin < TIMEOUT / 2
    mailbox.excuse(1, "anna")  # of a round that is over: nothing happens
    mailbox.excuse(2, "anna")
    mailbox.put(update("anna", 2))
    assert mailbox.wait(2, ["anna"], 0.0).keys() == {"anna"}


def test_nobody_waits_for_one_that_is_no_neighbour_any_more() -> None:
    mailbox = Mailbox(["anna", "bert"])
    mailbox.put(update("anna"))
    mailbox.put(update("bert", 2))
    timer = threading.Timer(0.1, mailbox.know, [["anna"]])
    begin = time.monotonic()
    timer.start()
    assert mailbox.wait(1, ["anna", "bert"], begin + TIMEOUT).keys() == {"anna"}
    timer.join()
    mailbox.know(["anna", "bert"])
    assert time.monotonic() - begin < TIMEOUT / 2
    assert mailbox.wait(2, [], 0.0) == {}


def test_many_threads_lose_nothing() -> None:
    rounds = 200
    mailbox = Mailbox(AGENTS, ahead=rounds)
    said = [threading.Thread(target=lambda a=a: [mailbox.put(update(a, n)) for n in range(1, rounds + 1)]) for a in AGENTS]
    for thread in said:
        thread.start()
    heard = [mailbox.wait(n, AGENTS, time.monotonic() + TIMEOUT) for n in range(1, rounds + 1)]
    for thread in said:
        thread.join()
    assert [updates.keys() for updates in heard] == [set(AGENTS)] * rounds
    assert all(u.round == n and u.agent == a for n, updates in enumerate(heard, 1) for a, u in updates.items())


class Comparison(RuleBasedStateMachine):
    """Any order of calls does to the mailbox what it does to a list of all updates that were ever sent."""

    @initialize(neighbours=known, ahead=st.integers(0, 3), current=st.integers(1, 3))
    def begin(self, neighbours: frozenset[str], ahead: int, current: int) -> None:
        self.mailbox = Mailbox(neighbours, current, ahead)
        self.neighbours, self.current, self.ahead = neighbours, current, ahead
        self.taken: list[pb.SliceUpdate] = []

    @rule(agent=agents, distance=st.integers(-3, 6), size=st.integers(0, 40))
    def put(self, agent: str, distance: int, size: int) -> None:
        sent = update(agent, max(0, self.current + distance), size)
        receipt = self.mailbox.put(sent)
        in_time = self.current <= sent.round <= self.current + self.ahead
        assert (receipt.verdict == pb.VERDICT_TAKEN) == (agent in self.neighbours and in_time)
        assert receipt.round == self.current
        if receipt.verdict == pb.VERDICT_TAKEN:
            self.taken.append(sent)

    @rule(neighbours=known)
    def know(self, neighbours: frozenset[str]) -> None:
        self.mailbox.know(neighbours)
        self.neighbours = neighbours
        self.taken = [u for u in self.taken if u.agent in neighbours]

    @rule(skip=st.integers(0, 4), names=known)
    def wait(self, skip: int, names: frozenset[str]) -> None:
        number = self.current + skip
        expected = {u.agent: u for u in self.taken if u.round == number}  # of two, the later
        assert self.mailbox.wait(number, names, 0.0) == expected
        self.current = number + 1


TestComparison = Comparison.TestCase
TestComparison.settings = settings(max_examples=30, stateful_step_count=30)


@given(st.lists(st.tuples(agents, st.integers(1, 2**32 - 1)), max_size=50))
def test_whatever_is_sent_no_more_is_kept_than_a_few_rounds_of_neighbours(said: list[tuple[str, int]]) -> None:
    mailbox = Mailbox(AGENTS[:2])
    for agent, number in said:
        mailbox.put(update(agent, number))
    kept = [u for updates in mailbox._kept.values() for u in updates.values()]
    assert all(u.agent in AGENTS[:2] and u.round <= 1 + ROUNDS_AHEAD for u in kept)
    assert len(kept) <= 2 * (1 + ROUNDS_AHEAD)
