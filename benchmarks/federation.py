"""A whole federation in real processes on this machine: TLS, node keys, process isolation and durable state, as deployed.

Every process that dies is started again after a pause, as a container's restart policy or systemd does it. Used by the
tests of deployment, the soak and the benchmark of round trips.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import Popen
from types import MappingProxyType, TracebackType
from typing import Self

import psutil  # type: ignore[import-untyped,unused-ignore]

from concord import keys
from concord.deployment import SuperLink
from concord.flower import SCRIPTS, environment
from concord.processes import Family, family, free_port

RESTART_SECONDS = 1.0
STOP_SECONDS = 10.0
SUPERLINK, SERVER_EXECUTOR = "superlink", "serverapp-executor"
PARTS = ("ClientApp", "SuperNode", "ServerApp executor", "SuperLink")  # that a run survives the death of


def supernode(node: str) -> str:
    """Role of a node's SuperNode."""
    return f"supernode:{node}"


def client_executor(node: str) -> str:
    """Role of a node's ClientApp executor."""
    return f"clientapp-executor:{node}"


class LocalFederation:
    """SuperLink, ServerApp executor, and a SuperNode with a ClientApp executor a node.

    Args:
        folder: keys, state and logs of all of them.
        nodes: names of nodes, each with its node config.
        register: the nodes whose keys are registered; None: all.
        env: what a role finds in its environment beside what all have.
    """

    def __init__(
        self,
        folder: Path,
        nodes: Mapping[str, Mapping[str, str]],
        register: Sequence[str] | None = None,
        env: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    ) -> None:
        self.folder, self.nodes = folder, dict(nodes)
        self._register = list(nodes) if register is None else list(register)
        self._ports = {role: free_port() for role in ("control", "fleet", "runtime", *nodes)}
        self._commands: dict[str, tuple[str, ...]] = {}
        self._env = env
        self._running: dict[str, Popen[bytes]] = {}
        self._held: set[str] = set()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._home = folder / "flower"
        self._home.mkdir(parents=True, exist_ok=True)
        (folder / "logs").mkdir(exist_ok=True)
        self._family = family({**environment(self._home), "CONCORD_CACHE": str(folder / "cache")})

    @property
    def superlink(self) -> SuperLink:
        """The Control API."""
        home = self.folder / "client"
        home.mkdir(exist_ok=True)
        return SuperLink(f"127.0.0.1:{self._ports['control']}", self.folder / "keys" / "superlink" / keys.CA_CERTIFICATE, home)

    def __enter__(self) -> Self:
        self._processes: Family = self._family.__enter__()
        self._make_keys()
        self._commands[SUPERLINK] = self._superlink_command()
        self._commands[SERVER_EXECUTOR] = self._executor_command(
            "serverapp", self._ports["runtime"], "superlink", keys.CA_CERTIFICATE
        )
        for role in (SUPERLINK, SERVER_EXECUTOR):
            self.start(role)
        self.superlink.connect(patience=120)
        for node in self._register:
            self.superlink.register(self.folder / "keys" / node / keys.NODE_PUBLIC_KEY)
        for node in self.nodes:
            self.add_node(node, self.nodes[node])
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closing.set()
        self._keeper.join()
        self._family.__exit__(kind, error, trace)

    def add_node(self, node: str, config: Mapping[str, str]) -> None:
        """Starts a node; its key must be made and registered."""
        port = self._ports.setdefault(node, free_port())
        self._commands[supernode(node)] = self._supernode_command(node, port, config)
        self._commands[client_executor(node)] = self._executor_command("clientapp", port, node, keys.LINK_CERTIFICATE)
        self.start(supernode(node))
        self.start(client_executor(node))

    def make_node_keys(self, node: str) -> Path:
        """Makes a node's keys; the path of its public key."""
        keys.make_node(self.folder / "keys" / node, self.folder / "keys" / "ca" / keys.CA_CERTIFICATE)
        return self.folder / "keys" / node / keys.NODE_PUBLIC_KEY

    def start(self, role: str) -> None:
        """Starts a role, or lets it start again after `hold`."""
        with self._lock:
            self._held.discard(role)
            self._spawn(role)

    def kill(self, role: str) -> None:
        """SIGKILL; what it was running goes with it, as with a container. It is started again."""
        with self._lock:
            _end(self._running[role], signal.SIGKILL)

    def hold(self, role: str) -> None:
        """Stops a role politely, until `start`."""
        with self._lock:
            self._held.add(role)
            _end(self._running[role], signal.SIGTERM)

    def kill_app(self, role: str) -> bool:
        """SIGKILL to the app that an executor runs now, and not to the executor; whether there was one."""
        children = _descendants(self._running[role])
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        return bool(children)

    def kill_part(self, part: str, node: str, patience: float) -> bool:
        """SIGKILL to one of `PARTS`; false, if no ClientApp ran on `node` within `patience` seconds."""
        if part == "ClientApp":
            return wait_until(lambda: self.kill_app(client_executor(node)), patience, pause=0.02)
        self.kill({"SuperNode": supernode(node), "ServerApp executor": SERVER_EXECUTOR, "SuperLink": SUPERLINK}[part])
        return True

    def signal_node(self, node: str, number: signal.Signals) -> None:
        """Sends a signal to all processes of a node: SIGSTOP makes it a straggler, SIGCONT wakes it."""
        for role in (supernode(node), client_executor(node)):
            for process in (psutil.Process(self._running[role].pid), *_descendants(self._running[role])):
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(number)

    def limit_files(self, role: str, size: int) -> None:
        """Lets no process that a role runs now write a file beyond `size` bytes, as if its disk were full."""
        for process in _descendants(self._running[role]):
            with suppress(psutil.NoSuchProcess):
                process.rlimit(psutil.RLIMIT_FSIZE, (size, size))

    def log(self, role: str) -> str:
        """What a role has said so far."""
        path = self._log(role)
        return path.read_text(errors="replace") if path.exists() else ""

    def _log(self, role: str) -> Path:
        return self.folder / "logs" / f"{role.replace(':', '-')}.txt"

    def _keep(self) -> None:
        """The restart policy."""
        while not self._closing.wait(RESTART_SECONDS):
            with self._lock:
                for role, process in list(self._running.items()):
                    if process.poll() is not None and role not in self._held:
                        self._spawn(role)

    def _spawn(self, role: str) -> None:
        program, *arguments = self._commands[role]
        with self._log(role).open("ab") as log:
            self._running[role] = self._processes.start(SCRIPTS / program, *arguments, log=log, env=self._env.get(role, {}))

    def _make_keys(self) -> None:
        folder = self.folder / "keys"
        keys.make_authority(folder / "ca")
        keys.make_server(folder / "superlink", folder / "ca", keys.LOCAL_HOSTS)
        for node in self.nodes:
            self.make_node_keys(node)

    def _superlink_command(self) -> tuple[str, ...]:
        mine = self.folder / "keys" / "superlink"
        certificates = []
        for prefix in ("--ssl", "--appio-ssl"):
            certificates += [f"{prefix}-ca-certfile", str(mine / keys.CA_CERTIFICATE)]
            certificates += [f"{prefix}-certfile", str(mine / keys.SERVER_CERTIFICATE)]
            certificates += [f"{prefix}-keyfile", str(mine / keys.SERVER_KEY)]
        return (
            "flower-superlink",
            *("--isolation", "process", "--enable-supernode-auth", "--database", str(self.folder / "state.db")),
            *("--control-api-address", f"127.0.0.1:{self._ports['control']}"),
            *("--fleet-api-address", f"127.0.0.1:{self._ports['fleet']}"),
            *("--serverappio-api-address", f"127.0.0.1:{self._ports['runtime']}"),
            *("--superexec-auth-secret-file", str(mine / keys.SECRET)),
            *certificates,
        )

    def _supernode_command(self, node: str, port: int, config: Mapping[str, str]) -> tuple[str, ...]:
        mine = self.folder / "keys" / node
        told = {"state-folder": str(self.folder / "state" / node), **config}
        return (
            "concord-supernode",
            *("--superlink", f"127.0.0.1:{self._ports['fleet']}", "--root-certificates", str(mine / keys.CA_CERTIFICATE)),
            *("--auth-supernode-private-key", str(mine / keys.NODE_KEY), "--isolation", "process"),
            *("--clientappio-api-address", f"127.0.0.1:{port}", "--superexec-auth-secret-file", str(mine / keys.SECRET)),
            *("--appio-ssl-ca-certfile", str(mine / keys.LINK_CERTIFICATE)),
            *("--appio-ssl-certfile", str(mine / keys.LINK_CERTIFICATE), "--appio-ssl-keyfile", str(mine / keys.LINK_KEY)),
            *("--node-config", " ".join(f'{key}="{value}"' for key, value in told.items())),
        )

    def _executor_command(self, kind: str, port: int, owner: str, certificate: str) -> tuple[str, ...]:
        mine = self.folder / "keys" / owner
        return (
            "flower-superexec",
            *("--plugin-type", kind, "--appio-api-address", f"127.0.0.1:{port}"),
            *("--root-certificates", str(mine / certificate), "--superexec-auth-secret-file", str(mine / keys.SECRET)),
        )


def _end(process: Popen[bytes], number: signal.Signals) -> None:
    """Ends a process and all below it."""
    members = [*_descendants(process), psutil.Process(process.pid)] if process.poll() is None else []
    for member in members:
        with suppress(psutil.NoSuchProcess):
            member.send_signal(number)
    _, left = psutil.wait_procs(members, timeout=STOP_SECONDS)
    for member in left:
        with suppress(psutil.NoSuchProcess):
            member.kill()
    process.wait()


def _descendants(process: Popen[bytes]) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return list(psutil.Process(process.pid).children(recursive=True))
    return []


def wait_until(condition: Callable[[], bool], seconds: float, pause: float = 0.1) -> bool:
    """Whether `condition()` came true within `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(pause)
    return False
