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
from peer_app.mailbox import KEPT_ROUNDS, Mailbox

AGENTS = ("anna", "bert", "carl", "dora")
agents = st.sampled_from(AGENTS)
known = st.frozensets(agents)

pytestmark = pytest.mark.timeout(60)


def test_verdicts() -> None:
    mailbox = Mailbox(["anna"], current=5)
    verdicts = {number: mailbox.put(update("anna", number)).verdict for number in (4, 5, 2**32 - 1)}
    assert verdicts == {4: pb.VERDICT_LATE, 5: pb.VERDICT_TAKEN, 2**32 - 1: pb.VERDICT_TAKEN}
    receipt = mailbox.put(update("bert", 5))
    assert (receipt.verdict, receipt.round, receipt.schema_version) == (pb.VERDICT_STRANGER, 5, 1)


def test_an_update_that_is_too_large_is_not_kept() -> None:
    most = update("anna").ByteSize()
    mailbox = Mailbox(["anna"], most_bytes=most)
    assert mailbox.put(update("anna", size=9)).verdict == pb.VERDICT_MALFORMED
    assert mailbox.put(update("bert", size=9)).verdict == pb.VERDICT_STRANGER
    assert mailbox.put(update("anna")).verdict == pb.VERDICT_TAKEN
    assert mailbox.wait(1, {}) == {"anna": update("anna")}


def test_of_one_that_is_far_ahead_the_last_rounds_are_kept() -> None:
    mailbox = Mailbox(["anna"])
    for number in range(1, 10):
        assert mailbox.put(update("anna", number)).verdict == pb.VERDICT_TAKEN
    assert mailbox.put(update("anna", 5)).verdict == pb.VERDICT_LATE
    assert [mailbox.wait(number, {}).keys() for number in range(1, 10)] == [set()] * 6 + [{"anna"}] * 3


def test_nobody_waits_for_one_that_has_spoken_of_a_later_round() -> None:
    mailbox = Mailbox(["anna"])
    timer = threading.Timer(0.1, mailbox.put, [update("anna", 2)])
    begin = time.monotonic()
    timer.start()
    assert mailbox.wait(1, {"anna": begin + TIMEOUT}) == {}
    timer.join()
    assert time.monotonic() - begin < TIMEOUT / 2
    assert mailbox.wait(2, {"anna": begin + TIMEOUT}).keys() == {"anna"}


def test_a_round_is_over_once_it_was_waited_for() -> None:
    mailbox = Mailbox(["anna"])
    mailbox.put(update("anna", 2))
    assert mailbox.wait(1, {}) == {}
    assert mailbox.put(update("anna", 1)).verdict == pb.VERDICT_LATE
    assert mailbox.wait(2, {"anna": 0.0}) == {"anna": update("anna", 2)}
    with pytest.raises(ValueError, match="round 2 is over, the current one is 3"):
        mailbox.wait(2, {})


def test_it_waits_until_the_last_has_spoken_and_no_longer() -> None:
    mailbox = Mailbox(AGENTS)
    mailbox.put(update("anna"))
    timer = threading.Timer(0.1, mailbox.put, [update("bert")])
    begin = time.monotonic()
    timer.start()
    assert mailbox.wait(1, dict.fromkeys(("anna", "bert"), begin + TIMEOUT)).keys() == {"anna", "bert"}
    timer.join()
    assert 0.05 < time.monotonic() - begin < TIMEOUT / 2


def test_it_waits_for_each_until_its_deadline() -> None:
    mailbox = Mailbox(AGENTS)
    mailbox.put(update("anna"))
    begin = time.monotonic()
    assert mailbox.wait(1, {"anna": begin + TIMEOUT, "bert": begin + 0.2, "carl": begin}).keys() == {"anna"}
    assert 0.2 <= time.monotonic() - begin < TIMEOUT / 2


def test_nobody_waits_for_one_that_is_excused_and_it_may_still_speak() -> None:
    mailbox = Mailbox(AGENTS)
    timer = threading.Timer(0.1, mailbox.excuse, [1, "anna"])
    begin = time.monotonic()
    timer.start()
    assert mailbox.wait(1, {"anna": begin + TIMEOUT}) == {}
    timer.join()
    assert time.monotonic() - begin < TIMEOUT / 2
    mailbox.excuse(1, "anna")  # of a round that is over: nothing happens
    mailbox.excuse(2, "anna")
    mailbox.put(update("anna", 2))
    assert mailbox.wait(2, {}).keys() == {"anna"}


def test_nobody_waits_for_one_that_was_not_admitted() -> None:
    mailbox = Mailbox()
    begin = time.monotonic()
    assert mailbox.put(update("anna")).verdict == pb.VERDICT_STRANGER
    assert mailbox.wait(1, {"anna": begin + TIMEOUT}) == {}
    assert time.monotonic() - begin < TIMEOUT / 2
    mailbox.admit("anna")
    assert mailbox.put(update("anna", 2)).verdict == pb.VERDICT_TAKEN


def test_many_threads_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = 200
    monkeypatch.setattr("peer_app.mailbox.KEPT_ROUNDS", rounds)
    mailbox = Mailbox()
    admitted = [threading.Thread(target=mailbox.admit, args=[agent]) for agent in AGENTS]
    for thread in admitted:
        thread.start()
    for thread in admitted:
        thread.join()
    said = [threading.Thread(target=lambda a=a: [mailbox.put(update(a, n)) for n in range(1, rounds + 1)]) for a in AGENTS]
    for thread in said:
        thread.start()
    heard = [mailbox.wait(n, dict.fromkeys(AGENTS, time.monotonic() + TIMEOUT)) for n in range(1, rounds + 1)]
    for thread in said:
        thread.join()
    assert [updates.keys() for updates in heard] == [set(AGENTS)] * rounds
    assert all(u.round == n and u.agent == a for n, updates in enumerate(heard, 1) for a, u in updates.items())


class Comparison(RuleBasedStateMachine):
    """Any order of calls does to the mailbox what it does to a list of all updates that were ever sent."""

    @initialize(agents=known, current=st.integers(1, 3))
    def begin(self, agents: frozenset[str], current: int) -> None:
        self.mailbox = Mailbox(agents, current)
        self.admitted, self.current = set(agents), current
        self.taken: list[pb.SliceUpdate] = []

    @rule(agent=agents, distance=st.integers(-3, 6), size=st.integers(0, 40))
    def put(self, agent: str, distance: int, size: int) -> None:
        sent = update(agent, max(0, self.current + distance), size)
        receipt = self.mailbox.put(sent)
        rounds = sorted({u.round for u in [*self.taken, sent] if u.agent == agent and u.round >= self.current})[-KEPT_ROUNDS:]
        assert (receipt.verdict == pb.VERDICT_TAKEN) == (agent in self.admitted and sent.round in rounds)
        assert receipt.round == self.current
        if receipt.verdict == pb.VERDICT_TAKEN:
            self.taken = [u for u in self.taken if u.agent != agent or u.round in rounds] + [sent]

    @rule(agent=agents)
    def admit(self, agent: str) -> None:
        self.mailbox.admit(agent)
        self.admitted.add(agent)

    @rule(skip=st.integers(0, 4), names=known)
    def wait(self, skip: int, names: frozenset[str]) -> None:
        number = self.current + skip
        expected = {u.agent: u for u in self.taken if u.round == number}  # of two, the later
        assert self.mailbox.wait(number, dict.fromkeys(names, 0.0)) == expected
        self.current = number + 1


TestComparison = Comparison.TestCase
TestComparison.settings = settings(max_examples=30, stateful_step_count=30)


@given(st.lists(st.tuples(agents, st.integers(1, 2**32 - 1)), max_size=50))
def test_whatever_is_sent_no_more_is_kept_than_a_few_rounds_of_neighbours(said: list[tuple[str, int]]) -> None:
    mailbox = Mailbox(AGENTS[:2])
    for agent, number in said:
        mailbox.put(update(agent, number))
    assert mailbox._kept.keys() <= set(AGENTS[:2])
    assert all(len(kept) <= KEPT_ROUNDS for kept in mailbox._kept.values())
