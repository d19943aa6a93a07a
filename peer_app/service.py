"""The end of an agent that others call: who calls is proved by a certificate, what they say is read as hostile.

A caller is the common name of its certificate, and may speak for nobody else. Whatever one of them does, the others are
answered: each has its own bound on calls, and no message is read before a thread is free for it.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Protocol, Self

import grpc

from concord.errors import ConcordError
from concord.wire.messages import WireError, decode, encode
from concord.wire.v1 import federation_pb2 as pb
from peer_app.options import (
    CALL_SECONDS,
    CALLS,
    CALLS_OF_ONE,
    GREET_BYTES,
    MESSAGE_BYTES,
    SERVICE,
    THREADS,
    checked_address,
    server_options,
)
from peer_app.tls import Identity, server_credentials

GRACE_SECONDS = 1.0
WARNING_SECONDS = 60.0  # between two lines of the log on refused calls of one caller
OWN_FAULT = "this agent failed on the call; its log says why"

log = logging.getLogger(__name__)


class RefusedError(Exception):
    """Raised by a host that does not take a call. The caller is told the reason."""


class Host(Protocol):
    """What an agent does with calls. Several threads call it at once; it returns soon, and waits for nobody.

    That a message is of the agent that it names is checked before.
    """

    def objection(self, caller: str) -> str:
        """Why nothing of this caller is read; empty: it may speak."""

    def greet(self, hello: pb.Hello) -> pb.Hello:
        """Answers with the agent's own introduction; RefusedError where the two cannot work together."""

    def deliver(self, update: pb.SliceUpdate) -> pb.Receipt:
        """Takes an update, or says why not."""


class AgentServer:
    """The gRPC server of one agent, from when it is made until `stop`; also a context manager.

    Args:
        address: host:port on which to listen, and on no other; port 0 is any that is free. The addresses 0.0.0.0 and [::]
            are all of the machine, of both families.
        identity: of this agent.
        host: what answers.
        message_bytes: of the largest message in either direction.
        call_seconds: after which a call is cut off.

    Attributes:
        port: on which it listens.

    Raises:
        ConcordError: C604, when it cannot listen there.
    """

    def __init__(
        self,
        address: str,
        identity: Identity,
        host: Host,
        *,
        message_bytes: int = MESSAGE_BYTES,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        checked_address(address)
        self._host, self._call_seconds = host, call_seconds
        self._warned: dict[str, float] = {}  # by caller: when the log last told of one of its calls
        self._turns = _Turns()
        self._pool = ThreadPoolExecutor(THREADS, "concord-answer")
        self._server = grpc.server(self._pool, options=server_options(message_bytes), maximum_concurrent_rpcs=CALLS)
        self._server.add_generic_rpc_handlers([self._handlers()])
        try:
            self.port: int = self._server.add_secure_port(address, server_credentials(identity))
        except RuntimeError as error:
            self.stop()
            hint = "name an address of this machine, and a port that no other process uses"
            raise ConcordError("C604", f"{identity.name} cannot listen on {address}", hint) from error
        self._server.start()

    def stop(self, grace: float = GRACE_SECONDS) -> None:
        """Takes no more calls, and returns when those at work are done, or cut off after `grace` seconds."""
        self._server.stop(grace).wait()
        self._pool.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _handlers(self) -> grpc.GenericRpcHandler:
        answers = {"Greet": self._greet, "Deliver": self._deliver}
        # As streams, because gRPC then hands out the call before it reads the message. The caller sees no difference.
        methods = {name: grpc.stream_unary_rpc_method_handler(partial(self._call, answer)) for name, answer in answers.items()}
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    def _call(self, answer: _Answer, messages: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        """One call from its beginning to its end."""
        caller = _caller(context)
        if not caller:
            return _refuse(context, grpc.StatusCode.UNAUTHENTICATED, "a certificate without a name")
        with self._turns.of(caller) as is_free:
            if not is_free:
                return _refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, f"more than {CALLS_OF_ONE} calls at once")
            late = threading.Timer(self._call_seconds, context.cancel)
            late.start()
            try:
                if why := self._host.objection(caller):
                    raise RefusedError(why)
                if (data := next(messages, None)) is None:
                    return _refuse(context, grpc.StatusCode.CANCELLED, "no message came")
                return answer(caller, data)
            except grpc.RpcError:
                raise  # the caller is gone
            except WireError as error:
                status, why = grpc.StatusCode.INVALID_ARGUMENT, error.message
            except RefusedError as error:
                status, why = grpc.StatusCode.PERMISSION_DENIED, str(error)
            except Exception:
                log.exception("a call of %s failed", caller)
                return _refuse(context, grpc.StatusCode.INTERNAL, OWN_FAULT)
            finally:
                late.cancel()
        return self._turn_away(context, caller, status, why)

    def _turn_away(self, context: grpc.ServicerContext, caller: str, status: grpc.StatusCode, why: str) -> bytes:
        """Refuses a call, and tells the log, which no caller can fill."""
        now = time.monotonic()
        if now - self._warned.get(caller, -math.inf) >= WARNING_SECONDS:
            self._warned[caller] = now
            log.warning("a call of %s was refused: %s", caller, why)
        return _refuse(context, status, why)

    def _greet(self, caller: str, data: bytes) -> bytes:
        if len(data) > GREET_BYTES:
            raise WireError(f"a Hello of {len(data)} bytes, at most {GREET_BYTES} are read")
        hello = decode(pb.Hello, data)
        _check_name(caller, hello.agent)
        return encode(self._host.greet(hello))

    def _deliver(self, caller: str, data: bytes) -> bytes:
        update = decode(pb.SliceUpdate, data)
        _check_name(caller, update.agent)
        return encode(self._host.deliver(update))


class _Answer(Protocol):
    def __call__(self, caller: str, data: bytes) -> bytes: ...


class _Turns:
    """How many calls of each agent are at work."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: Counter[str] = Counter()

    @contextmanager
    def of(self, caller: str) -> Iterator[bool]:
        """Counts one more while it lasts; False where there are enough."""
        with self._lock:
            is_free = self._open[caller] < CALLS_OF_ONE
            self._open[caller] += 1 if is_free else 0
        try:
            yield is_free
        finally:
            with self._lock:
                self._open[caller] -= 1 if is_free else 0
                if not self._open[caller]:
                    del self._open[caller]


def _refuse(context: grpc.ServicerContext, status: grpc.StatusCode, why: str) -> bytes:
    """Ends a call with an error instead of an answer."""
    context.set_code(status)
    context.set_details(why)
    return b""


def _caller(context: grpc.ServicerContext) -> str:
    """The name in the certificate of whoever calls; empty unless there is exactly one."""
    names = context.auth_context().get("x509_common_name", [])
    return str(names[0], "utf-8", "replace") if len(names) == 1 else ""


def _check_name(caller: str, named: str) -> None:
    if named != caller:
        raise RefusedError(f"{caller} spoke for {named!r}")
