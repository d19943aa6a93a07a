"""The end that is called: whoever calls it, and with whatever, it goes on answering the others."""

from __future__ import annotations

import dataclasses
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loopback import LOOPBACK, TIMEOUT, Hall, calling, hello, make_identities, serving, update

from concord import keys
from concord.errors import ConcordError
from concord.wire.messages import SCHEMA_VERSION, encode
from concord.wire.v1 import federation_pb2 as pb
from peer_app.options import CALLS_OF_ONE, LEAST_PING_SECONDS, PING_SECONDS, SERVICE, THREADS, channel_options, checked_address
from peer_app.service import OWN_FAULT, AgentServer, RefusedError
from peer_app.tls import Identity, channel_credentials

Identities = dict[str, Identity]
Code = grpc.StatusCode

pytestmark = pytest.mark.timeout(60)


@contextmanager
def channel(server: AgentServer, name: str, credentials: grpc.ChannelCredentials) -> Iterator[grpc.Channel]:
    with grpc.secure_channel(f"{LOOPBACK}:{server.port}", credentials, channel_options(name, 1 << 22)) as opened:
        yield opened


def code_of(opened: grpc.Channel, data: bytes, method: str = "Deliver") -> tuple[grpc.StatusCode, str]:
    """How a call with these bytes ends."""
    try:
        opened.unary_unary(f"/{SERVICE}/{method}")(data, timeout=TIMEOUT)
    except grpc.RpcError as error:
        return error.code(), error.details()
    return Code.OK, ""


def answers(server: AgentServer, name: str, caller: Identity) -> bool:
    with calling(caller, **{name: server.port}) as neighbours:
        return neighbours.deliver(name, update(caller.name), TIMEOUT).message is not None


MALFORMED = [
    (b"", "SliceUpdate of schema version 0, this side speaks 1"),
    (b"\xff" * 40, "40 bytes are no SliceUpdate"),
    (encode(update("anna"))[:-3], "are no SliceUpdate"),
    (encode(pb.SliceUpdate(schema_version=SCHEMA_VERSION + 1, agent="anna")), "SliceUpdate of schema version 2"),
    (b"\x08\x01\x12\x02\xff\xfe", "are no SliceUpdate"),  # a name that is no UTF-8
]


@pytest.mark.parametrize(("data", "why"), MALFORMED)
def test_malformed_bytes_are_refused_with_the_reason(ours: Identities, data: bytes, why: str) -> None:
    with serving(ours["bert"]) as server, channel(server, "bert", channel_credentials(ours["anna"])) as opened:
        code, details = code_of(opened, data)
        assert code is Code.INVALID_ARGUMENT
        assert why in details
        assert answers(server, "bert", ours["anna"])


@pytest.fixture(scope="module")
def open_channel(ours: Identities) -> Iterator[grpc.Channel]:
    """From anna to bert."""
    with serving(ours["bert"]) as server, channel(server, "bert", channel_credentials(ours["anna"])) as opened:
        yield opened


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=100), st.sampled_from(["Deliver", "Greet"]), st.booleans())
def test_any_bytes_end_in_an_answer_or_a_refusal(open_channel: grpc.Channel, data: bytes, method: str, begun_well: bool) -> None:
    data = encode(update("anna"))[:8] + data if begun_well else data
    assert code_of(open_channel, data, method)[0] in (Code.OK, Code.INVALID_ARGUMENT, Code.PERMISSION_DENIED)
    assert code_of(open_channel, encode(update("anna"))) == (Code.OK, "")


@pytest.mark.parametrize("method", ["Greet", "Deliver"])
def test_nobody_speaks_for_another(ours: Identities, method: str) -> None:
    host = Hall("bert")
    with serving(ours["bert"], host) as server, channel(server, "bert", channel_credentials(ours["anna"])) as opened:
        code, details = code_of(opened, encode(hello("carl") if method == "Greet" else update("carl")), method)
        assert (code, details) == (Code.PERMISSION_DENIED, "anna spoke for 'carl'")
    assert host.mailbox.wait(1, {}) == {}


def test_a_caller_without_a_certificate_of_the_federation_gets_nowhere(ours: Identities, theirs: Identities) -> None:
    strangers = {
        "none": grpc.ssl_channel_credentials(ours["anna"].authorities),
        "of another authority": channel_credentials(dataclasses.replace(theirs["anna"], authorities=ours["anna"].authorities)),
    }
    host = Hall("bert")
    with serving(ours["bert"], host) as server:
        for credentials in strangers.values():
            with channel(server, "bert", credentials) as opened:
                assert code_of(opened, encode(update("anna")))[0] is Code.UNAVAILABLE
            assert answers(server, "bert", ours["carl"])
        with grpc.insecure_channel(f"{LOOPBACK}:{server.port}") as opened:
            assert code_of(opened, encode(update("anna")))[0] is Code.UNAVAILABLE
    assert host.mailbox.wait(1, {}).keys() == {"carl"}


def test_the_certificate_of_a_superlink_lets_nobody_call(tmp_path: Path) -> None:
    bert = make_identities(tmp_path, ("bert",))["bert"]
    keys.make_server(tmp_path / "superlink", tmp_path / "ca", ["anna"])
    pair = [(tmp_path / "superlink" / name).read_bytes() for name in (keys.SERVER_KEY, keys.SERVER_CERTIFICATE)]
    with serving(bert) as server, channel(server, "bert", grpc.ssl_channel_credentials(bert.authorities, *pair)) as opened:
        assert code_of(opened, encode(update("anna")))[0] is Code.UNAVAILABLE


def test_a_message_that_is_too_large_is_not_read(ours: Identities) -> None:
    host = Hall("bert")
    with (
        serving(ours["bert"], host, message_bytes=1 << 16) as server,
        channel(server, "bert", channel_credentials(ours["anna"])) as opened,
    ):
        assert code_of(opened, encode(update("anna", size=1 << 17)))[0] is Code.RESOURCE_EXHAUSTED
        assert code_of(opened, encode(update("anna", size=1 << 15)))[0] is Code.OK
    assert len(host.mailbox.wait(1, {})["anna"].pieces[0].values) == 1 << 15


class Failing(Hall):
    """Raises whatever it is told to."""

    def __init__(self, error: Exception) -> None:
        super().__init__("bert")
        self.error = error

    def greet(self, hello: pb.Hello) -> pb.Hello:
        raise self.error


@pytest.mark.parametrize("error", [RuntimeError("/home/bert/secret"), ConcordError("C406", "/home/bert", "mend it"), KeyError(1)])
def test_a_host_that_fails_tells_nothing_of_itself(ours: Identities, error: Exception) -> None:
    with serving(ours["bert"], Failing(error)) as server, channel(server, "bert", channel_credentials(ours["anna"])) as opened:
        assert code_of(opened, encode(hello("anna")), "Greet") == (Code.INTERNAL, OWN_FAULT)
        assert answers(server, "bert", ours["anna"])


def test_a_host_that_refuses_says_why(ours: Identities) -> None:
    host = Failing(RefusedError("another federation"))
    with serving(ours["bert"], host) as server, channel(server, "bert", channel_credentials(ours["anna"])) as opened:
        assert code_of(opened, encode(hello("anna")), "Greet") == (Code.PERMISSION_DENIED, "another federation")


def test_one_that_holds_its_calls_open_takes_nothing_from_others(ours: Identities) -> None:
    gate = threading.Event()

    def held() -> Iterator[bytes]:
        gate.wait(TIMEOUT)
        yield encode(update("anna"))

    calls = THREADS + 4
    with serving(ours["bert"]) as server, channel(server, "bert", channel_credentials(ours["anna"])) as opened:
        method = opened.stream_unary(f"/{SERVICE}/Deliver")
        pending = [method.future(held(), timeout=TIMEOUT) for _ in range(calls)]
        deadline = time.monotonic() + TIMEOUT
        while sum(call.done() for call in pending) < calls - CALLS_OF_ONE and time.monotonic() < deadline:
            time.sleep(0.01)
        assert answers(server, "bert", ours["carl"])
        gate.set()
        codes = [call.code() for call in pending]
    assert codes.count(Code.RESOURCE_EXHAUSTED) == calls - CALLS_OF_ONE
    assert codes.count(Code.OK) == CALLS_OF_ONE


def test_one_that_holds_its_calls_open_is_cut_off_and_no_fault_of_this_end(
    ours: Identities, caplog: pytest.LogCaptureFixture
) -> None:
    gate = threading.Event()

    def held() -> Iterator[bytes]:
        gate.wait(TIMEOUT)
        yield b""

    with serving(ours["bert"], call_seconds=0.3) as server, channel(server, "bert", channel_credentials(ours["anna"])) as opened:
        begin = time.monotonic()
        call = opened.stream_unary(f"/{SERVICE}/Deliver").future(held(), timeout=TIMEOUT)
        assert call.code() is Code.CANCELLED
        assert time.monotonic() - begin < TIMEOUT / 2
        gate.set()
        assert answers(server, "bert", ours["anna"])
    assert caplog.records == []


def test_of_one_that_it_was_not_told_of_nothing_is_read(ours: Identities) -> None:
    unread = threading.Event()

    def held() -> Iterator[bytes]:
        unread.wait(TIMEOUT)
        yield encode(update("zora"))

    class Told(Hall):
        def objection(self, caller: str) -> str:
            return f"{caller!r} is unknown" if caller == "anna" else ""

    with serving(ours["bert"], Told("bert")) as server, channel(server, "bert", channel_credentials(ours["anna"])) as opened:
        call = opened.stream_unary(f"/{SERVICE}/Deliver").future(held(), timeout=TIMEOUT)
        assert (call.code(), call.details()) == (Code.PERMISSION_DENIED, "'anna' is unknown")
        unread.set()
        assert answers(server, "bert", ours["carl"])


def test_refusals_of_one_caller_do_not_fill_the_log(ours: Identities, caplog: pytest.LogCaptureFixture) -> None:
    with serving(ours["bert"]) as server:
        for caller in ("anna", "carl"):
            with channel(server, "bert", channel_credentials(ours[caller])) as opened:
                assert {code_of(opened, b"\xff")[0] for _ in range(5)} == {Code.INVALID_ARGUMENT}
    assert [record.getMessage().partition(" was refused")[0] for record in caplog.records] == ["a call of anna", "a call of carl"]


def test_an_introduction_is_small(ours: Identities) -> None:
    large = hello("anna")
    large.concepts.extend(["x" * 1000] * 1100)
    with (
        serving(ours["bert"], message_bytes=1 << 22) as server,
        channel(server, "bert", channel_credentials(ours["anna"])) as opened,
    ):
        code, why = code_of(opened, encode(large), "Greet")
        assert code is Code.INVALID_ARGUMENT
        assert "at most 1048576 are read" in why


def test_stopping_cuts_off_what_does_not_end(ours: Identities) -> None:
    gate = threading.Event()

    def held() -> Iterator[bytes]:
        gate.wait(TIMEOUT)
        yield b""

    with serving(ours["bert"]) as server, channel(server, "bert", channel_credentials(ours["anna"])) as opened:
        call = opened.stream_unary(f"/{SERVICE}/Deliver").future(held(), timeout=TIMEOUT)
        assert answers(server, "bert", ours["carl"])
        begin = time.monotonic()
        server.stop(grace=0.1)
        assert time.monotonic() - begin < TIMEOUT / 2
        gate.set()
        assert call.code() in (Code.CANCELLED, Code.UNAVAILABLE)
        server.stop()  # once more does no harm


def test_it_listens_where_it_was_told_and_nowhere_else(ours: Identities) -> None:
    with serving(ours["bert"]) as server:
        socket.create_connection((LOOPBACK, server.port), TIMEOUT).close()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.2", server.port), TIMEOUT)


def test_connections_that_prove_nothing_take_few_descriptors_and_leave_room_for_others(
    ours: Identities, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("peer_app.options.CONNECTIONS", 20)
    monkeypatch.setattr("peer_app.options.HANDSHAKE_SECONDS", 1)

    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    idle = 100
    with serving(ours["bert"]) as server, ExitStack() as opened:
        before = descriptors()
        for _ in range(idle):
            opened.enter_context(socket.create_connection((LOOPBACK, server.port), TIMEOUT))
        time.sleep(0.3)
        assert descriptors() - before <= idle + 20 + 5
        assert answers(server, "bert", ours["anna"])  # once the idle ones have had their time


def test_an_address_that_cannot_be_used_is_told(ours: Identities) -> None:
    with serving(ours["bert"]) as server:
        for address in (f"{LOOPBACK}:{server.port}", "192.0.2.1:0"):
            with pytest.raises(ConcordError, match=f"C604 .*carl cannot listen on {address}"):
                AgentServer(address, ours["carl"], Hall("carl"))
        assert answers(server, "bert", ours["anna"])


@pytest.mark.parametrize(
    "address", ["", ":9094", "9094", "host", "host:", "host:99999", "unix:/x", "dns:///h:1", "::1:9", "a b:1"]
)
def test_what_is_no_host_and_port_is_refused(address: str) -> None:
    with pytest.raises(ConcordError, match=r"C604 .*is not HOST:PORT"):
        checked_address(address)


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:9094", "ward-3.example:65535", "localhost:80"])
def test_host_and_port_are_taken(address: str) -> None:
    assert checked_address(address) == address


def test_no_agent_is_cut_off_for_looking_whether_the_other_is_there() -> None:
    assert LEAST_PING_SECONDS < PING_SECONDS
