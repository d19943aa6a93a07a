"""Connections on the loopback interface that can be cut and healed, as a network between two halves of a federation is."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

CHUNK = 1 << 16


class Relay:
    """Hands on what comes to its own port to another one, unless it is cut: then what it has ends and nothing is let in.

    Attributes:
        address: where it listens.
    """

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = host, int(port)
        self._is_cut = False
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        with self._lock:
            self._is_cut = True
            ends, self._open = self._open, set()
        for end in ends:
            _shut(end)

    def heal(self) -> None:
        with self._lock:
            self._is_cut = False

    def close(self) -> None:
        _shut(self._listener)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                caller = self._listener.accept()[0]
                threading.Thread(target=self._serve, args=(caller,), daemon=True).start()

    def _serve(self, caller: socket.socket) -> None:
        with caller, suppress(OSError), socket.create_connection(self._target) as called:
            with self._lock:
                if self._is_cut:
                    return
                self._open |= {caller, called}
            back = threading.Thread(target=_pump, args=(called, caller), daemon=True)
            back.start()
            _pump(caller, called)
            back.join()
            with self._lock:
                self._open -= {caller, called}


@contextmanager
def relays(targets: Mapping[str, str]) -> Iterator[dict[str, Relay]]:
    """A relay to the address of each name; they are closed on the way out."""
    made = {name: Relay(target) for name, target in targets.items()}
    try:
        yield made
    finally:
        for relay in made.values():
            relay.close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(CHUNK):
            sink.sendall(data)
    _shut(source)
    _shut(sink)


def _shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
