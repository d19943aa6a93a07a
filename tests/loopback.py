"""Agents on the loopback interface with real certificates, that keep what they are sent."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from concord import keys
from concord.wire.messages import SCHEMA_VERSION
from concord.wire.v1 import federation_pb2 as pb
from peer_app.mailbox import Mailbox
from peer_app.neighbours import Neighbours
from peer_app.service import AgentServer
from peer_app.tls import Identity, read_identity

LOOPBACK = "127.0.0.1"
NAMES = ("anna", "bert", "carl")
TIMEOUT = 10.0  # of what must succeed


def make_identities(folder: Path, names: tuple[str, ...] = NAMES) -> dict[str, Identity]:
    """An authority and the identities that it gave."""
    keys.make_authority(folder / "ca")
    for name in names:
        keys.make_peer(folder / name, folder / "ca")
    return {name: read_identity(folder / name) for name in names}


def hello(agent: str) -> pb.Hello:
    return pb.Hello(schema_version=SCHEMA_VERSION, agent=agent)


def update(agent: str, round_number: int = 1, size: int = 8) -> pb.SliceUpdate:
    pieces = [pb.Piece(slice="encoder", values=bytes(size))]
    return pb.SliceUpdate(schema_version=SCHEMA_VERSION, agent=agent, round=round_number, pieces=pieces)


class Hall:
    """A host that greets all back, and takes updates of those in NAMES."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.mailbox = Mailbox(NAMES)

    def objection(self, caller: str) -> str:
        return "" if caller in NAMES else f"{caller!r} is unknown"

    def greet(self, hello: pb.Hello) -> pb.Hello:
        return pb.Hello(schema_version=SCHEMA_VERSION, agent=self.name)

    def deliver(self, update: pb.SliceUpdate) -> pb.Receipt:
        return self.mailbox.put(update)


@contextmanager
def serving(
    identity: Identity, host: Hall | None = None, port: int = 0, message_bytes: int = 1 << 20, call_seconds: float = 60.0
) -> Iterator[AgentServer]:
    """An agent that can be called."""
    hall, bounds = host or Hall(identity.name), {"message_bytes": message_bytes, "call_seconds": call_seconds}
    with AgentServer(f"{LOOPBACK}:{port}", identity, hall, **bounds) as server:  # type: ignore[arg-type]
        yield server


@contextmanager
def calling(identity: Identity, message_bytes: int = 1 << 20, **ports: int) -> Iterator[Neighbours]:
    """An agent that calls others: their ports by name."""
    with Neighbours(identity, message_bytes=message_bytes) as neighbours:
        neighbours.know({name: f"{LOOPBACK}:{port}" for name, port in ports.items()})
        yield neighbours


@contextmanager
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        yield int(listener.getsockname()[1])


@contextmanager
def slow_port(target: int, pause: float) -> Iterator[int]:
    """A port that passes all on to another, each piece after a pause."""
    stop = threading.Event()
    opened: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(1 << 16):
                stop.wait(pause)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def accept() -> None:
        while True:
            try:
                caller, _ = listener.accept()
            except OSError:
                return
            called = socket.create_connection((LOOPBACK, target))
            opened.extend((caller, called))
            for ends in ((caller, called), (called, caller)):
                threads.append(threading.Thread(target=pump, args=ends))
                threads[-1].start()

    with socket.create_server((LOOPBACK, 0)) as listener:
        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            stop.set()
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for end in opened:
                with end, suppress(OSError):  # it may be shut down already
                    end.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()
