"""The end of an agent that calls: one channel a neighbour, and never an exception or a long wait for what a neighbour does.

A call is tried again until its deadline while the other end is away or busy, so a neighbour that is started again in the
meantime gets what it was to get. Delivering twice does no harm: the later update takes the place of the earlier one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Generic, Self, TypeVar

import grpc

from concord.wire.messages import WireError, decode, encode
from concord.wire.v1 import federation_pb2 as pb
from peer_app.options import MESSAGE_BYTES, SERVICE, channel_options, checked_address
from peer_app.tls import Identity, channel_credentials

SENDERS = 64  # deliveries at once; more wait, and their deadlines go on
PAUSE_SECONDS = (0.1, 1.0)  # first and longest pause before a call is tried again
DETAIL_LENGTH = 200

M = TypeVar("M", pb.Hello, pb.Receipt)


class Reason(StrEnum):
    """Why a neighbour gave no answer that can be used."""

    UNKNOWN = "unknown"  # nobody has told its address
    UNREACHABLE = "unreachable"
    BUSY = "busy"
    DEADLINE = "deadline"  # there, and did not answer in time
    REFUSED = "refused"
    SIZE = "size"  # the message is larger than one of both ends allows
    FAILED = "failed"  # it answered that it could not
    UNDECODABLE = "undecodable"
    OTHER_AGENT = "other-agent"
    CLOSED = "closed"  # this end was closed


_REASONS = {
    grpc.StatusCode.UNAVAILABLE: Reason.UNREACHABLE,
    grpc.StatusCode.CANCELLED: Reason.UNREACHABLE,  # the other end was stopped
    grpc.StatusCode.RESOURCE_EXHAUSTED: Reason.BUSY,
    grpc.StatusCode.DEADLINE_EXCEEDED: Reason.DEADLINE,
    grpc.StatusCode.PERMISSION_DENIED: Reason.REFUSED,
    grpc.StatusCode.UNAUTHENTICATED: Reason.REFUSED,
    grpc.StatusCode.INVALID_ARGUMENT: Reason.REFUSED,
    grpc.StatusCode.UNIMPLEMENTED: Reason.REFUSED,
}
_AGAIN = (Reason.UNREACHABLE, Reason.BUSY)
_CAUSE = "last error: "  # what gRPC puts before the cause of a failure to connect
_TOO_LARGE = "larger than max"  # in what gRPC says of both a full server and a large message


@dataclass(frozen=True)
class Answer(Generic[M]):
    """What came of a call: a message, or why there is none.

    Attributes:
        message: None where there is a reason.
        reason: None where there is a message.
        detail: more of the reason, one short line.
    """

    message: M | None
    reason: Reason | None = None
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.reason else "answered"


class Neighbours:
    """Calls other agents; also a context manager. All methods may be called from any thread.

    Args:
        identity: of this agent.
        message_bytes: of the largest message in either direction.
    """

    def __init__(self, identity: Identity, *, message_bytes: int = MESSAGE_BYTES) -> None:
        self._message_bytes = message_bytes
        self._credentials = channel_credentials(identity)
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._addresses: dict[str, str] = {}
        self._channels: dict[str, grpc.Channel] = {}
        self._pool = ThreadPoolExecutor(SENDERS, "concord-deliver")

    def know(self, addresses: Mapping[str, str]) -> None:
        """From now on these are the neighbours: host:port by name. Calls of others are cut off.

        Raises:
            ConcordError: C604, for an address that is not host:port.
        """
        checked = {name: checked_address(address) for name, address in addresses.items()}
        with self._lock:
            gone = [name for name in self._channels if checked.get(name) != self._addresses[name]]
            self._addresses = checked
            channels = [self._channels.pop(name) for name in gone]
        for channel in channels:
            channel.close()

    def greet(self, name: str, hello: pb.Hello, timeout: float) -> Answer[pb.Hello]:
        """Introduces this agent to a neighbour; returns after `timeout` seconds at the latest."""
        answer = self._call(name, "Greet", encode(hello), pb.Hello, time.monotonic() + timeout)
        if answer.message is not None and answer.message.agent != name:
            return Answer(None, Reason.OTHER_AGENT, f"it calls itself {answer.message.agent!r}"[:DETAIL_LENGTH])
        return answer

    def deliver(self, name: str, update: pb.SliceUpdate, timeout: float) -> Answer[pb.Receipt]:
        """Sends an update to a neighbour; returns after `timeout` seconds at the latest."""
        return self._deliver(name, update, time.monotonic() + timeout)

    def start_delivery(self, updates: Mapping[str, pb.SliceUpdate], timeout: float) -> dict[str, Future[Answer[pb.Receipt]]]:
        """Sends to many at the same time, and returns at once; the answers are there after `timeout` seconds at the latest."""
        deadline = time.monotonic() + timeout
        return {name: self._pool.submit(self._deliver, name, update, deadline) for name, update in updates.items()}

    def deliver_all(self, updates: Mapping[str, pb.SliceUpdate], timeout: float) -> dict[str, Answer[pb.Receipt]]:
        """Sends to many at the same time, and returns when all have answered, or after `timeout` seconds."""
        return {name: future.result() for name, future in self.start_delivery(updates, timeout).items()}

    def close(self) -> None:
        """Cuts off what is under way, and returns when nothing is."""
        self._closed.set()
        self.know({})
        self._pool.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _deliver(self, name: str, update: pb.SliceUpdate, deadline: float) -> Answer[pb.Receipt]:
        answer = self._call(name, "Deliver", encode(update), pb.Receipt, deadline)
        if answer.message is not None and answer.message.verdict not in pb.Verdict.values()[1:]:
            return Answer(None, Reason.UNDECODABLE, f"a Receipt with verdict {answer.message.verdict}")
        return answer

    def _call(self, name: str, method: str, data: bytes, kind: type[M], deadline: float) -> Answer[M]:
        """Tries until there is an answer, or a reason that does not pass, or the deadline."""
        if len(data) > self._message_bytes:
            return Answer(None, Reason.SIZE, f"{len(data)} bytes, and at most {self._message_bytes} are sent")
        pause, longest = PAUSE_SECONDS
        before: Answer[M] | None = None
        while True:
            answer = self._try(name, method, data, kind, deadline - time.monotonic())
            if answer.reason is Reason.DEADLINE and before is not None:
                return before  # which says more than that there was no time for another attempt
            rest = deadline - time.monotonic()
            if answer.reason not in _AGAIN or pause >= rest:
                return answer
            self._closed.wait(pause)
            before, pause = answer, min(2 * pause, longest)

    def _try(self, name: str, method: str, data: bytes, kind: type[M], timeout: float) -> Answer[M]:
        try:
            channel = self._channel(name)
            if channel is None:
                return Answer(None, Reason.CLOSED if self._closed.is_set() else Reason.UNKNOWN, "no address is known")
            reply = channel.unary_unary(f"/{SERVICE}/{method}")(data, timeout=timeout)
            return Answer(decode(kind, reply))
        except WireError as error:
            return Answer(None, Reason.UNDECODABLE, error.message)
        except grpc.RpcError as error:
            return Answer(None, *self._failure(error.code(), error.details() or ""))
        except ValueError as error:  # what gRPC raises on a channel that is closed
            return Answer(None, Reason.CLOSED, str(error))

    def _failure(self, code: grpc.StatusCode, details: str) -> tuple[Reason, str]:
        reason = _REASONS.get(code, Reason.FAILED)
        if reason is Reason.BUSY and _TOO_LARGE in details:
            reason = Reason.SIZE
        if self._closed.is_set():
            reason = Reason.CLOSED
        return reason, " ".join(details.rpartition(_CAUSE)[2].split())[:DETAIL_LENGTH]

    def _channel(self, name: str) -> grpc.Channel | None:
        """The channel to a neighbour; None for a stranger."""
        with self._lock:
            if name in self._addresses and name not in self._channels and not self._closed.is_set():
                options = channel_options(name, self._message_bytes)
                self._channels[name] = grpc.secure_channel(self._addresses[name], self._credentials, options)
            return self._channels.get(name)
