"""Starting a family of processes and leaving none of them behind, however the program ends.

All that is started carries a mark in its environment, and so does what that starts in turn. By the mark every
process is found again, also one that made itself a session of its own or outlived its parent, as Flower's SuperExec
and Ray's agents do.
"""

from __future__ import annotations

import secrets
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import IO

import psutil  # type: ignore[import-untyped,unused-ignore]

MARK = "CONCORD_FAMILY"
STOP_SECONDS = 3.0

Handler = Callable[[int, FrameType | None], None] | signal.Handlers


class Family:
    """Processes that are started here, and all their descendants."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._mark = secrets.token_hex(8)
        self._env = {**env, MARK: self._mark}
        self._started: list[subprocess.Popen[bytes]] = []

    def start(
        self, program: Path, *arguments: str, log: IO[bytes], env: Mapping[str, str] = MappingProxyType({})
    ) -> subprocess.Popen[bytes]:
        """Starts a process out of reach of the terminal's Ctrl-C; all that it says goes to `log`."""
        process = subprocess.Popen(  # noqa: S603
            [str(program), *arguments],
            env={**self._env, **env},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def alive(self) -> list[psutil.Process]:
        """The processes that carry the mark."""
        everyone = psutil.process_iter(["environ"])
        return [process for process in everyone if (process.info["environ"] or {}).get(MARK) == self._mark]

    def stop(self) -> None:
        """Ends them all, first politely."""
        for end in (psutil.Process.terminate, psutil.Process.kill, psutil.Process.kill):
            family = self.alive()
            for process in family:
                with suppress(psutil.NoSuchProcess):
                    end(process)
            psutil.wait_procs(family, timeout=STOP_SECONDS)
        for started in self._started:
            started.wait()


def free_port() -> int:
    """A TCP port of the loopback interface that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def family(env: Mapping[str, str]) -> Iterator[Family]:
    """A family that is stopped on the way out: by return, exception, Ctrl-C, SIGTERM or a closed terminal."""
    members = Family(env)
    with _handlers(_leave, signal.SIGTERM, signal.SIGHUP):
        try:
            yield members
        finally:
            with _handlers(signal.SIG_IGN, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                members.stop()


def _leave(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


@contextmanager
def _handlers(handler: Handler, *signals: signal.Signals) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # which alone may set handlers
        yield
        return
    before = {number: signal.signal(number, handler) for number in signals}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
