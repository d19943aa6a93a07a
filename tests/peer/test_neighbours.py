"""The end that calls: whatever a neighbour does, there is an answer or a reason, in time."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
from loopback import LOOPBACK, NAMES, TIMEOUT, Hall, calling, hello, serving, silent_port, slow_port, update

from concord.errors import ConcordError
from concord.keys import make_authority, make_peer
from concord.processes import free_port
from concord.wire.messages import SCHEMA_VERSION
from concord.wire.v1 import federation_pb2 as pb
from peer_app.neighbours import Answer, Neighbours, Reason
from peer_app.tls import Identity, server_credentials

Identities = dict[str, Identity]

HANDSHAKE = 1.5  # enough for one that fails, also on a busy machine

pytestmark = pytest.mark.timeout(60)


def timed(call: Callable[[], Answer[pb.Receipt]], at_most: float) -> Answer[pb.Receipt]:
    """The answer, which must come in that time and a little."""
    begin = time.monotonic()
    answer = call()
    assert time.monotonic() - begin < at_most + 2.0
    return answer


def test_two_agents_greet_and_deliver(ours: Identities) -> None:
    host = Hall("bert")
    with serving(ours["bert"], host) as server, calling(ours["anna"], bert=server.port) as neighbours:
        answer = neighbours.greet("bert", hello("anna"), TIMEOUT)
        assert answer.message == hello("bert")
        assert str(answer) == "answered"
        receipt = neighbours.deliver("bert", update("anna"), TIMEOUT).message
        assert receipt == pb.Receipt(schema_version=SCHEMA_VERSION, verdict=pb.VERDICT_TAKEN, round=1)
    assert host.mailbox.wait(1, {}) == {"anna": update("anna")}


def test_three_agents_exchange_some_rounds_at_the_same_time(ours: Identities) -> None:
    heard: dict[str, list[set[str]]] = {name: [] for name in NAMES}
    with ExitStack() as stack:
        halls = {name: Hall(name) for name in NAMES}
        ports = {name: stack.enter_context(serving(ours[name], halls[name])).port for name in NAMES}

        def live(name: str) -> None:
            others = {other: port for other, port in ports.items() if other != name}
            with calling(ours[name], **others) as neighbours:
                for number in range(1, 6):
                    answers = neighbours.deliver_all(dict.fromkeys(others, update(name, number)), TIMEOUT)
                    assert all(a.message and a.message.verdict == pb.VERDICT_TAKEN for a in answers.values())
                    heard[name].append(set(halls[name].mailbox.wait(number, dict.fromkeys(others, time.monotonic() + TIMEOUT))))

        lives = [threading.Thread(target=live, args=[name]) for name in NAMES]
        for life in lives:
            life.start()
        for life in lives:
            life.join()
    assert heard == {name: [set(NAMES) - {name}] * 5 for name in NAMES}


def test_one_that_is_away_is_unreachable(ours: Identities) -> None:
    with calling(ours["anna"], bert=free_port()) as neighbours:
        answer = timed(lambda: neighbours.deliver("bert", update("anna"), 0.5), 0.5)
        assert answer.reason is Reason.UNREACHABLE
        assert str(answer).startswith("unreachable: ")
        assert "Connection refused" in answer.detail


def test_one_that_never_says_a_word_takes_no_longer_than_the_deadline(ours: Identities) -> None:
    with silent_port() as port, calling(ours["anna"], bert=port) as neighbours:
        assert timed(lambda: neighbours.deliver("bert", update("anna"), 0.5), 0.5).reason is Reason.DEADLINE


def test_one_whose_host_hangs_takes_no_longer_than_the_deadline(ours: Identities) -> None:
    gate = threading.Event()

    class Hanging(Hall):
        def deliver(self, update: pb.SliceUpdate) -> pb.Receipt:
            gate.wait(TIMEOUT)
            return super().deliver(update)

    with serving(ours["bert"], Hanging("bert")) as server, calling(ours["anna"], bert=server.port) as neighbours:
        assert timed(lambda: neighbours.deliver("bert", update("anna"), 0.5), 0.5).reason is Reason.DEADLINE
        gate.set()
        assert neighbours.deliver("bert", update("anna"), TIMEOUT).message is not None


def test_a_slow_one_gets_all_in_the_end(ours: Identities) -> None:
    host = Hall("bert")
    with (
        serving(ours["bert"], host) as server,
        slow_port(server.port, 0.05) as port,
        calling(ours["anna"], bert=port) as neighbours,
    ):
        begin = time.monotonic()
        assert neighbours.deliver("bert", update("anna", size=1 << 19), TIMEOUT).message is not None
        assert time.monotonic() - begin > 0.1
    assert len(host.mailbox.wait(1, {})["anna"].pieces[0].values) == 1 << 19


def test_the_silent_and_the_away_do_not_hold_up_the_others(ours: Identities) -> None:
    with (
        serving(ours["bert"]) as server,
        silent_port() as silent,
        calling(ours["anna"], bert=server.port, carl=silent, dora=free_port()) as neighbours,
    ):
        begin = time.monotonic()
        futures = neighbours.start_delivery(dict.fromkeys(("bert", "carl", "dora"), update("anna")), 2.0)
        assert futures["bert"].result().message is not None
        assert not futures["carl"].done()
        assert futures["carl"].result().reason is Reason.DEADLINE
        assert futures["dora"].result().reason is Reason.UNREACHABLE
        assert time.monotonic() - begin < 4.0


def test_one_that_comes_back_on_its_port_gets_what_was_under_way(ours: Identities) -> None:
    with serving(ours["bert"]) as server, calling(ours["anna"], bert=server.port) as neighbours:
        assert neighbours.deliver("bert", update("anna"), TIMEOUT).message is not None
        server.stop()
        assert neighbours.deliver("bert", update("anna"), 0.3).reason is Reason.UNREACHABLE
        futures = neighbours.start_delivery({"bert": update("anna", 2)}, TIMEOUT)
        time.sleep(0.3)
        host = Hall("bert")
        with serving(ours["bert"], host, server.port):
            assert futures["bert"].result().message is not None
            assert host.mailbox.wait(2, {}).keys() == {"anna"}
            assert neighbours.deliver("bert", update("anna", 3), TIMEOUT).message is not None


def test_one_at_a_new_address_is_called_there(ours: Identities) -> None:
    with serving(ours["bert"]) as old, calling(ours["anna"], bert=old.port) as neighbours:
        assert neighbours.deliver("bert", update("anna"), TIMEOUT).message is not None
        with serving(ours["bert"]) as new:
            neighbours.know({"bert": f"{LOOPBACK}:{new.port}"})
            old.stop()
            assert neighbours.deliver("bert", update("anna"), TIMEOUT).message is not None
            neighbours.know({})
            assert neighbours.deliver("bert", update("anna"), TIMEOUT).reason is Reason.UNKNOWN


def test_an_address_that_is_none_is_told_and_changes_nothing(ours: Identities) -> None:
    with serving(ours["bert"]) as server, calling(ours["anna"], bert=server.port) as neighbours:
        with pytest.raises(ConcordError, match="C604"):
            neighbours.know({"bert": "nowhere"})
        assert neighbours.deliver("bert", update("anna"), TIMEOUT).message is not None


def test_another_agent_at_the_address_gets_nothing(ours: Identities, theirs: Identities) -> None:
    host = Hall("carl")
    for other in (ours["carl"], theirs["bert"]):  # one of the federation, and one of the same name that is not
        with serving(other, host) as server, calling(ours["anna"], bert=server.port) as neighbours:
            assert neighbours.deliver("bert", update("anna"), HANDSHAKE).reason is Reason.UNREACHABLE
    assert host.mailbox.wait(1, {}) == {}


def test_a_stranger_is_shut_out_and_a_member_is_not(ours: Identities, theirs: Identities) -> None:
    stranger = dataclasses.replace(theirs["anna"], authorities=ours["anna"].authorities)  # which the server does not trust
    with serving(ours["bert"]) as server, calling(stranger, bert=server.port) as strange:
        assert strange.deliver("bert", update("anna"), HANDSHAKE).reason is Reason.UNREACHABLE
        with calling(ours["carl"], bert=server.port) as neighbours:
            assert neighbours.deliver("bert", update("carl"), TIMEOUT).message is not None


def test_an_expired_certificate_is_told(tmp_path: Path) -> None:
    make_authority(tmp_path / "ca")
    make_peer(tmp_path / "anna", tmp_path / "ca")
    make_peer(tmp_path / "bert", tmp_path / "ca", days=0)
    files = ("peer.crt", "peer.key", "ca.crt")
    anna, bert = (Identity(name, *((tmp_path / name / file).read_bytes() for file in files)) for name in ("anna", "bert"))
    with serving(bert) as server, calling(anna, bert=server.port) as neighbours:
        assert "certificate has expired" in neighbours.deliver("bert", update("anna"), HANDSHAKE).detail


def test_one_that_may_not_speak_for_another_is_told(ours: Identities) -> None:
    with serving(ours["bert"]) as server, calling(ours["anna"], bert=server.port) as neighbours:
        answer = neighbours.deliver("bert", update("carl"), TIMEOUT)
        assert str(answer) == "refused: anna spoke for 'carl'"


@pytest.mark.parametrize("own_bound", [1 << 16, 1 << 20])
def test_a_message_that_is_too_large_for_one_end_is_told(ours: Identities, own_bound: int) -> None:
    with (
        serving(ours["bert"], message_bytes=1 << 16) as server,
        calling(ours["anna"], own_bound, bert=server.port) as neighbours,
    ):
        assert neighbours.deliver("bert", update("anna", size=1 << 17), TIMEOUT).reason is Reason.SIZE
        assert neighbours.deliver("bert", update("anna"), TIMEOUT).message is not None


def test_one_that_is_busy_is_tried_again(ours: Identities, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, entered = threading.Event(), threading.Event()

    class Slow(Hall):
        def deliver(self, update: pb.SliceUpdate) -> pb.Receipt:
            entered.set()
            gate.wait(TIMEOUT)
            return super().deliver(update)

    monkeypatch.setattr("peer_app.service.CALLS_OF_ONE", 1)
    with serving(ours["bert"], Slow("bert")) as server, calling(ours["anna"], bert=server.port) as neighbours:
        first = neighbours.start_delivery({"bert": update("anna", 1)}, TIMEOUT)
        assert entered.wait(TIMEOUT)
        assert neighbours.deliver("bert", update("anna", 2), 0.5).reason is Reason.BUSY
        second = neighbours.start_delivery({"bert": update("anna", 2)}, TIMEOUT)
        gate.set()
        assert all(futures["bert"].result().message is not None for futures in (first, second))


def answering(identity: Identity, reply: bytes) -> tuple[grpc.Server, int]:
    """A server that gives the same bytes to all."""
    server = grpc.server(ThreadPoolExecutor(1))
    handler = grpc.unary_unary_rpc_method_handler(lambda request, context: reply)
    methods = dict.fromkeys(("Greet", "Deliver"), handler)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("concord.v1.Agents", methods)])
    port = server.add_secure_port(f"{LOOPBACK}:0", server_credentials(identity))
    server.start()
    return server, port


RECEIPTS = [
    (b"\xff", Reason.UNDECODABLE),
    (b"", Reason.UNDECODABLE),
    (pb.Receipt(schema_version=SCHEMA_VERSION).SerializeToString(), Reason.UNDECODABLE),
    (pb.Receipt(schema_version=SCHEMA_VERSION, verdict=99).SerializeToString(), Reason.UNDECODABLE),  # type: ignore[arg-type]
    (pb.Receipt(schema_version=2, verdict=pb.VERDICT_TAKEN).SerializeToString(), Reason.UNDECODABLE),
    (pb.Receipt(schema_version=SCHEMA_VERSION, verdict=pb.VERDICT_LATE).SerializeToString(), None),
]


@pytest.mark.parametrize(("reply", "reason"), RECEIPTS)
def test_whatever_a_neighbour_answers_is_a_receipt_or_a_reason(ours: Identities, reply: bytes, reason: Reason | None) -> None:
    server, port = answering(ours["bert"], reply)
    try:
        with calling(ours["anna"], bert=port) as neighbours:
            assert neighbours.deliver("bert", update("anna"), TIMEOUT).reason is reason
    finally:
        server.stop(None).wait()


def test_one_that_calls_itself_otherwise_is_told(ours: Identities) -> None:
    server, port = answering(ours["bert"], hello("carl").SerializeToString())
    try:
        with calling(ours["anna"], bert=port) as neighbours:
            answer = neighbours.greet("bert", hello("anna"), TIMEOUT)
            assert str(answer) == "other-agent: it calls itself 'carl'"
    finally:
        server.stop(None).wait()


def test_closing_cuts_off_what_is_under_way(ours: Identities) -> None:
    with silent_port() as silent:
        neighbours = Neighbours(ours["anna"])
        neighbours.know({"bert": f"{LOOPBACK}:{silent}", "carl": f"{LOOPBACK}:{free_port()}"})
        futures = neighbours.start_delivery(dict.fromkeys(("bert", "carl"), update("anna")), TIMEOUT)
        time.sleep(0.2)
        begin = time.monotonic()
        neighbours.close()
        assert time.monotonic() - begin < TIMEOUT / 2
        assert {future.result().reason for future in futures.values()} == {Reason.CLOSED}
        assert neighbours.deliver("bert", update("anna"), TIMEOUT).reason is Reason.CLOSED
        neighbours.close()  # once more does no harm


def test_a_failing_host_is_a_reason(ours: Identities) -> None:
    class Broken(Hall):
        def deliver(self, update: pb.SliceUpdate) -> pb.Receipt:
            raise RuntimeError

    with serving(ours["bert"], Broken("bert")) as server, calling(ours["anna"], bert=server.port) as neighbours:
        assert neighbours.deliver("bert", update("anna"), TIMEOUT).reason is Reason.FAILED
