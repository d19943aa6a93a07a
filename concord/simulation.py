"""Flower's simulation on this machine, for one run: a SuperLink of our own is started, used once and stopped.

Why not Flower's own local SuperLink: it outlives the command and keeps the directory and environment of whoever
called first. Why the status is asked for: ``flwr run --stream`` exits 0 when the run failed. Why the metrics are
asked for the server's error: when Flower's two threads fail together, it tells only of one.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sysconfig
import tempfile
import time
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

import concord
from concord.config import RunConfig, Scalar
from concord.errors import ConcordError
from concord.processes import Family, family
from concord.run_folder import RunFolder

CONNECTION = "sim"
POLL_SECONDS = 0.5
START_SECONDS = 120.0
RAY_STARTS = 5  # Ray waits 15 s for its own processes, which a busy machine exceeds now and then; no setting changes that
LOG_LINES = 15
RAY_FOLDER_LENGTH = 38  # Ray puts sockets 68 characters below it, and the path of a socket has at most 107

_SCRIPTS = Path(sysconfig.get_path("scripts"))
_DETAILS_PREFIX = "Simulation failed with exception: "
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LOG_LINE = re.compile(r"\n(?:DEBUG|INFO|WARNING|ERROR) +:")
_CAUSE = "The above exception was the direct cause of the following exception:"
_CONCORD_ERROR = re.compile(r"C\d{3} ")
_RAY_TIMEOUT = re.compile(r"Timed out waiting for file|timed out during startup")


class RayTimeoutError(ConcordError):
    """Ray gave up waiting for its own processes before any round was done, as it does when the disk or the cores are busy."""


def run_simulation(config: RunConfig, app_folder: Path, nodes: int, on_wait: Callable[[], None] = lambda: None) -> None:
    """Trains with `config` on `nodes` simulated nodes, and returns when the run has finished.

    Nothing that was started is left behind, however this function is left.

    Args:
        config: ``run_folder`` and ``data`` are absolute; the run folder exists and gets the log.
        app_folder: the folder with the pyproject.toml of the Flower app.
        nodes: how many nodes to simulate.
        on_wait: called about twice a second.

    Raises:
        ConcordError: C403, when nothing could be started; C404 with the server's own error, when the run failed.
    """
    check_app_folder(app_folder)
    folder = RunFolder(config.run_folder)
    for left in reversed(range(RAY_STARTS)):
        try:
            _attempt(config, app_folder, nodes, on_wait)
        except RayTimeoutError:
            if not left:
                raise
            if not config.resume:  # the server finds the folder as it was before it started
                folder.metrics.unlink(missing_ok=True)
        else:
            break


def _attempt(config: RunConfig, app_folder: Path, nodes: int, on_wait: Callable[[], None]) -> None:
    folder = RunFolder(config.run_folder)
    rounds_before = _rounds(folder)
    with tempfile.TemporaryDirectory(prefix="concord-", ignore_cleanup_errors=True) as home, folder.log.open("ab") as log:
        start_of_log, earlier_failures = log.seek(0, os.SEEK_END), len(_failures(folder))
        with family(environment(Path(home))) as processes:
            try:
                superlink = _start_superlink(processes, Path(home), folder, on_wait)
                run = _submit(processes, Path(home), config, app_folder, nodes, log)
                while run.poll() is None and superlink.poll() is None:
                    on_wait()
                    time.sleep(POLL_SECONDS)
                status, details = _status(processes, Path(home))
            except OSError as error:
                raise ConcordError("C403", f"Flower cannot be started: {error}", "install Concord again: `make setup`") from error
    on_wait()
    ours = folder.log.read_bytes()[start_of_log:].decode(errors="replace")
    if not status:
        raise ConcordError(
            "C403", f"Flower did not take the app\n{last_lines(ours)}", f"see {folder.log} and {folder.superlink_log}"
        )
    if status != "finished:completed":
        told = _failures(folder)[earlier_failures:]
        slow_start = _RAY_TIMEOUT.search(ours) and _rounds(folder) <= rounds_before  # resuming drops the final evaluation
        kind = RayTimeoutError if slow_start else ConcordError
        raise kind("C404", told[-1] if told else failure(status, details, ours), _after_failure(folder))


def repository() -> Path:
    """The folder of the Flower app: the repository that this package was installed from."""
    return Path(concord.__file__).resolve().parent.parent


def check_app_folder(folder: Path) -> None:
    """ConcordError C403 when `folder` is not that of a Flower app."""
    try:
        tomllib.loads((folder / "pyproject.toml").read_text())["tool"]["flwr"]["app"]
    except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
        hint = "install Concord from a clone of its repository: `make setup`, or `pip install -e .` in the clone"
        raise ConcordError("C403", f"{folder} has no pyproject.toml with [tool.flwr.app]", hint) from error


def environment(home: Path) -> dict[str, str]:
    """The environment of all that is started: Flower sends and installs nothing, a ClientApp has one thread, Ray stays local."""
    ours = {
        "PATH": f"{_SCRIPTS}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # no cluster here either: Ray listens on the loopback interface only
        "OMP_NUM_THREADS": "1",
    }
    if len(str(home)) <= RAY_FOLDER_LENGTH:
        ours["RAY_TMPDIR"] = str(home)
    inherited = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    return inherited | ours


def federation_config(nodes: int, cores: int, gpus: int = 0) -> dict[str, Scalar]:
    """As many ClientApps at once as there are cores and nodes, each with one core and its part of the GPUs."""
    at_once = min(nodes, cores)
    resources: dict[str, Scalar] = {"num-supernodes": nodes, "init-args-num-cpus": at_once, "client-resources-num-cpus": 1}
    if gpus:
        part = int(1e4 * gpus / at_once) / 1e4 if gpus < at_once else 1.0  # Ray counts in 1/10000, above 1 in whole GPUs
        resources |= {"init-args-num-gpus": gpus, "client-resources-num-gpus": part}
    return resources


def to_toml(flat: Mapping[str, Scalar]) -> str:
    """A TOML document with the dotted keys of a flat configuration."""
    return "".join(f"{key} = {_toml_value(value)}\n" for key, value in flat.items())


def parse_status(listing: bytes) -> tuple[str, str]:
    """Status and details of the only run in the answer of ``flwr ls --format json``; empty when there is none."""
    try:
        run = json.loads(listing)["runs"][0]
    except (ValueError, KeyError, IndexError):
        return "", ""
    return str(run["status"]), str(run.get("status-details", ""))


def failure(status: str, details: str, log: str) -> str:
    """What went wrong: the text of the server's ConcordError where it raised one, else the end of its log."""
    details = details.removeprefix(_DETAILS_PREFIX).strip()
    if _CONCORD_ERROR.match(details):
        return details
    return f"{details or status}\n{last_lines(log)}"


def last_lines(log: str) -> str:
    """The end of the last traceback in a log, that of the cause where there is one; or of the log without any."""
    text, *tracebacks = _COLOUR.sub("", log).split("Traceback (most recent call last):\n")
    if tracebacks:
        text = tracebacks.pop()
        while tracebacks and tracebacks[-1].rstrip().endswith(_CAUSE):
            text = tracebacks.pop().rstrip().removesuffix(_CAUSE)
        text = _LOG_LINE.split(text)[0]
    return "\n".join(text.strip("\n").split("\n")[-LOG_LINES:])


def _start_superlink(processes: Family, home: Path, folder: RunFolder, on_wait: Callable[[], None]) -> subprocess.Popen[bytes]:
    port = _free_port()
    connection: dict[str, Scalar] = {"address": f"127.0.0.1:{port}", "insecure": True}
    (home / "config.toml").write_text(f"[superlink.{CONNECTION}]\n{to_toml(connection)}")
    addresses = ("--control-api-address", f"127.0.0.1:{port}", "--serverappio-api-address", "127.0.0.1:0")
    with folder.superlink_log.open("ab") as log:
        superlink = processes.start(_SCRIPTS / "flower-superlink", "--insecure", "--simulation", *addresses, log=log)
    deadline = time.monotonic() + START_SECONDS
    while not _answers(port):
        if superlink.poll() is not None or time.monotonic() > deadline:
            raise ConcordError("C403", "Flower's SuperLink did not start", f"its log is {folder.superlink_log}")
        on_wait()
        time.sleep(POLL_SECONDS / 5)
    return superlink


def _submit(
    processes: Family, home: Path, config: RunConfig, app_folder: Path, nodes: int, log: IO[bytes]
) -> subprocess.Popen[bytes]:
    """Hands over the app; the process lives until Flower has no more to say about the run."""
    run_config, federation = home / "run.toml", home / "federation.toml"
    run_config.write_text(to_toml(config.flat()))
    federation.write_text(to_toml(federation_config(nodes, _cores(), _gpus(config.device))))
    options = ("--stream", "--run-config", str(run_config), "--federation-config", str(federation))
    return processes.start(_SCRIPTS / "flwr", "run", str(app_folder), CONNECTION, *options, log=log)


def _status(processes: Family, home: Path) -> tuple[str, str]:
    listing = home / "listing.json"
    with listing.open("wb") as log:
        processes.start(_SCRIPTS / "flwr", "ls", CONNECTION, "--format", "json", log=log).wait()
    return parse_status(listing.read_bytes())


def _rounds(folder: RunFolder) -> int:
    return sum(line.get("scope") == "round" for line in folder.read_metrics())


def _failures(folder: RunFolder) -> list[str]:
    return [
        str(line["message"]) for line in folder.read_metrics() if line.get("scope") == "run" and line.get("event") == "failed"
    ]


def _after_failure(folder: RunFolder) -> str:
    again = f"mend the cause; `concord run --resume {folder.path}` goes on after the last finished round; "
    return f"{again if folder.checkpoint.exists() else ''}the whole log is {folder.log}"


def _toml_value(value: Scalar) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else repr(value)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _gpus(device: str) -> int:
    if device == "cpu":
        return 0
    import torch  # slow to import, and only needed here

    return torch.cuda.device_count()
