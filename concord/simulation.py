"""Flower's simulation on this machine, for one run: a SuperLink of our own is started, used once and stopped.

Why not Flower's own local SuperLink: it outlives the command and keeps the directory and environment of whoever
called first.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from concord.config import RunConfig, Scalar
from concord.errors import ConcordError
from concord.flower import (
    COMPLETED,
    SCRIPTS,
    check_app_folder,
    environment,
    failure,
    last_lines,
    parse_status,
    to_toml,
    told_failures,
    write_connection,
)
from concord.processes import Family, family, free_port
from concord.run_folder import RunFolder

CONNECTION = "sim"
POLL_SECONDS = 0.5
START_SECONDS = 120.0
RAY_STARTS = 5  # Ray waits 15 s for its own processes, which a busy machine exceeds now and then; no setting changes that

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
    if find_spec("ray") is None:
        raise ConcordError("C403", "Ray is not installed", 'install what simulation needs: pip install -e ".[simulation]"')
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
        start_of_log, earlier_failures = log.seek(0, os.SEEK_END), len(told_failures(folder))
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
    if status != COMPLETED:
        told = told_failures(folder)[earlier_failures:]
        slow_start = _RAY_TIMEOUT.search(ours) and _rounds(folder) <= rounds_before  # resuming drops the final evaluation
        kind = RayTimeoutError if slow_start else ConcordError
        raise kind("C404", told[-1] if told else failure(status, details, ours), _after_failure(folder))


def federation_config(nodes: int, cores: int, gpus: int = 0) -> dict[str, Scalar]:
    """As many ClientApps at once as there are cores and nodes, each with one core and its part of the GPUs."""
    at_once = min(nodes, cores)
    resources: dict[str, Scalar] = {"num-supernodes": nodes, "init-args-num-cpus": at_once, "client-resources-num-cpus": 1}
    if gpus:
        part = int(1e4 * gpus / at_once) / 1e4 if gpus < at_once else 1.0  # Ray counts in 1/10000, above 1 in whole GPUs
        resources |= {"init-args-num-gpus": gpus, "client-resources-num-gpus": part}
    return resources


def _start_superlink(processes: Family, home: Path, folder: RunFolder, on_wait: Callable[[], None]) -> subprocess.Popen[bytes]:
    port = free_port()
    write_connection(home, CONNECTION, {"address": f"127.0.0.1:{port}", "insecure": True})
    addresses = ("--control-api-address", f"127.0.0.1:{port}", "--serverappio-api-address", "127.0.0.1:0")
    with folder.superlink_log.open("ab") as log:
        superlink = processes.start(SCRIPTS / "flower-superlink", "--insecure", "--simulation", *addresses, log=log)
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
    return processes.start(SCRIPTS / "flwr", "run", str(app_folder), CONNECTION, *options, log=log)


def _status(processes: Family, home: Path) -> tuple[str, str]:
    listing = home / "listing.json"
    with listing.open("wb") as log:
        processes.start(SCRIPTS / "flwr", "ls", CONNECTION, "--format", "json", log=log).wait()
    try:
        return parse_status(json.loads(listing.read_bytes()))
    except ValueError:
        return "", ""


def _rounds(folder: RunFolder) -> int:
    return sum(line.get("scope") == "round" for line in folder.read_metrics())


def _after_failure(folder: RunFolder) -> str:
    again = f"mend the cause; `concord run --resume {folder.path}` goes on after the last finished round; "
    return f"{again if folder.checkpoint.exists() else ''}the whole log is {folder.log}"


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
