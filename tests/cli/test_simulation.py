"""The simulation: pure parts, and a small Flower app of its own in real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped,unused-ignore]
import pytest

from concord import flower, simulation
from concord.config import RunConfig
from concord.errors import ConcordError
from concord.run_folder import RunFolder

APP = """
import os, time
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp
from concord.config import parse_config
from concord.errors import ConcordError
from concord.run_folder import RunFolder

client = ClientApp()
server = ServerApp()

@client.query("where")
def where(message, context):
    time.sleep(0.5)
    answer = ConfigRecord({"pid": os.getpid(), "threads": os.environ["OMP_NUM_THREADS"]})
    return Message(RecordDict({"answer": answer}), reply_to=message)

@server.main()
def main(grid, context):
    config = parse_config(context.run_config)
    folder = RunFolder(config.run_folder)
    while len(ids := list(grid.get_node_ids())) < 3:
        time.sleep(0.1)
    replies = grid.send_and_receive([Message(RecordDict(), dst_node_id=i, message_type="query.where") for i in ids])
    answers = [dict(reply.content["answer"]) for reply in replies]
    folder.append_metrics({"scope": "run", "event": "started", "answers": answers, "model.trunk": config.model.trunk})
    if config.suite == "concord-error":
        error = ConcordError("C103", "the cause", "the cure")
        folder.append_metrics({"scope": "run", "event": "failed", "message": str(error)})
        raise error
    if config.suite == "bug":
        raise RuntimeError("a bug")
    if config.suite == "endless":
        time.sleep(600)
"""
PROJECT = """
[project]
name = "trivial"
version = "0.1.0"
description = "a Flower app for tests"
license = "Apache-2.0"
[tool.flwr.app]
publisher = "concord"
[tool.flwr.app.components]
serverapp = "trivial.app:server"
clientapp = "trivial.app:client"
[tool.flwr.app.config]
"""
CALL = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # which whoever started the tests may have turned off
import json, sys
from pathlib import Path
from concord.config import parse_config
from concord.simulation import run_simulation
run_simulation(parse_config(json.loads(sys.argv[1])), Path(sys.argv[2]), 3)
"""


@pytest.fixture
def app_folder(tmp_path: Path) -> Path:
    (tmp_path / "app" / "trivial").mkdir(parents=True)
    (tmp_path / "app" / "pyproject.toml").write_text(PROJECT + flower.to_toml(RunConfig().flat()))
    (tmp_path / "app" / "trivial" / "__init__.py").touch()
    (tmp_path / "app" / "trivial" / "app.py").write_text(APP)
    return tmp_path / "app"


def config_for(tmp_path: Path, suite: str = "demo") -> RunConfig:
    config = RunConfig(run_folder=str(tmp_path / "run"), suite=suite, device="cpu")
    RunFolder(config.run_folder).prepare(config)
    return config


@pytest.mark.process
@pytest.mark.timeout(240)
def test_runs_two_client_apps_at_once_and_leaves_nothing(
    app_folder: Path, tmp_path: Path, left_behind: Callable[[], list[str]]
) -> None:
    waits: list[int] = []
    simulation.run_simulation(config_for(tmp_path), app_folder, 3, lambda: waits.append(1))
    (line,) = RunFolder(tmp_path / "run").read_metrics()
    assert len(line["answers"]) == 3
    assert len({answer["pid"] for answer in line["answers"]}) == min(3, len(os.sched_getaffinity(0)))
    assert {answer["threads"] for answer in line["answers"]} == {"1"}
    assert waits
    assert left_behind() == []


@pytest.mark.process
@pytest.mark.timeout(240)
def test_failure_carries_the_text_of_the_servers_error(
    app_folder: Path, tmp_path: Path, left_behind: Callable[[], list[str]]
) -> None:
    with pytest.raises(ConcordError) as caught:
        simulation.run_simulation(config_for(tmp_path, "concord-error"), app_folder, 3)
    assert caught.value.code == "C404"
    assert caught.value.message == str(ConcordError("C103", "the cause", "the cure"))
    assert left_behind() == []


@pytest.mark.process
@pytest.mark.timeout(240)
def test_failure_of_another_kind_shows_the_end_of_the_traceback(app_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConcordError, match="a bug") as caught:
        simulation.run_simulation(config_for(tmp_path, "bug"), app_folder, 3)
    assert caught.value.message.rstrip().endswith("RuntimeError: a bug")
    assert "trivial/app.py" in caught.value.message


def open_to_others() -> list[str]:
    """Addresses that processes of this test listen on and that other machines could reach."""
    everyone = psutil.process_iter(["environ"])
    ours = {
        process.pid for process in everyone if (process.info["environ"] or {}).get("CONCORD_TEST") == os.environ["CONCORD_TEST"]
    }
    listening = [c for c in psutil.net_connections("tcp") if c.pid in ours and c.status == psutil.CONN_LISTEN]
    assert listening
    return [c.laddr.ip for c in listening if not ip_address(c.laddr.ip.removeprefix("::ffff:")).is_loopback]


@pytest.mark.process
@pytest.mark.timeout(240)
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGINT, -signal.SIGINT)])
def test_a_signal_stops_everything(
    app_folder: Path, tmp_path: Path, left_behind: Callable[[], list[str]], number: signal.Signals, status: int
) -> None:
    config = config_for(tmp_path, "endless")
    process = subprocess.Popen([sys.executable, "-c", CALL, json.dumps(config.flat()), str(app_folder)])
    while not RunFolder(config.run_folder).read_metrics():
        assert process.poll() is None
        time.sleep(0.2)
    assert len(left_behind()) > 3
    assert open_to_others() == []
    process.send_signal(number)
    assert process.wait(timeout=60) == status
    assert left_behind() == []


@pytest.mark.process
@pytest.mark.timeout(240)
def test_an_app_that_flower_refuses(app_folder: Path, tmp_path: Path) -> None:
    (app_folder / "pyproject.toml").write_text(PROJECT + "rounds = 1\n")
    with pytest.raises(ConcordError, match="C403"):
        simulation.run_simulation(config_for(tmp_path), app_folder, 3)


def test_a_folder_without_an_app_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ConcordError, match="C403"):
        simulation.run_simulation(config_for(tmp_path), tmp_path, 3)


def test_toml_round_trip() -> None:
    flat = RunConfig().flat() | {"data": 'a "b"\\c\n=é', "lr": 3e-05, "resume": True}
    nested = tomllib.loads(flower.to_toml(flat))
    for key, value in flat.items():
        found: Any = nested
        for part in key.split("."):
            found = found[part]
        assert found == value
        assert type(found) is type(value)


@pytest.mark.parametrize(
    ("nodes", "cores", "gpus", "at_once", "gpu_part"),
    [(3, 2, 0, 2, None), (1, 8, 0, 1, None), (3, 8, 1, 3, 0.3333), (2, 8, 4, 2, 1.0), (4, 4, 3, 4, 0.75)],
)
def test_resources_fit(nodes: int, cores: int, gpus: int, at_once: int, gpu_part: float | None) -> None:
    config = simulation.federation_config(nodes, cores, gpus)
    assert config["num-supernodes"] == nodes
    assert config["init-args-num-cpus"] == at_once
    assert config.get("client-resources-num-gpus") == gpu_part
    assert at_once * float(gpu_part or 0) <= gpus


def test_environment_is_private(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "elsewhere:6379")
    env = flower.environment(Path("/home/concord-x"))
    assert env["FLWR_HOME"] == env["RAY_TMPDIR"] == "/home/concord-x"
    assert "RAY_ADDRESS" not in env
    assert "RAY_TMPDIR" not in flower.environment(Path("/a" * 30))


def test_status_of_the_listing() -> None:
    listing = {"runs": [{"status": "finished:failed", "status-details": "why"}]}
    assert flower.parse_status(listing) == ("finished:failed", "why")
    assert flower.parse_status({"success": True, "runs": []}) == ("", "")
    assert flower.parse_status({}) == ("", "")


def test_last_lines_end_with_the_exception() -> None:
    traceback = "Traceback (most recent call last):\n  File\nValueError: one\ntwo"
    log = f"INFO :  x\n{traceback}\n\x1b[91mERROR \x1b[0m:     Exit Code: 700\nmore"
    assert flower.last_lines(log) == "  File\nValueError: one\ntwo"
    chain = f"{traceback}\n\nThe above exception was the direct cause of the following exception:\n\n"
    assert (
        flower.last_lines(f"{chain}Traceback (most recent call last):\n  Other\nRuntimeError: outer")
        == "  File\nValueError: one\ntwo"
    )
    assert flower.last_lines("\n".join(map(str, range(99)))).split("\n")[0] == "84"


@pytest.mark.parametrize("slow_starts", [1, 4, 5])
def test_a_slow_start_of_ray_is_tried_again(slow_starts: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder(tmp_path)
    tries = 0

    def attempt(*_: object) -> None:
        nonlocal tries
        tries += 1
        assert folder.read_metrics() == [], "the server would take the folder for that of another run"
        folder.append_metrics({"scope": "run", "event": "started", "message": ""})
        if tries <= slow_starts:
            raise simulation.RayTimeoutError("C404", "Timed out waiting for file", "")

    monkeypatch.setattr(simulation, "_attempt", attempt)
    config = RunConfig(run_folder=str(tmp_path))
    if slow_starts < simulation.RAY_STARTS:
        simulation.run_simulation(config, flower.repository(), 1)
        assert tries == slow_starts + 1
    else:
        with pytest.raises(ConcordError, match="Timed out"):
            simulation.run_simulation(config, flower.repository(), 1)
        assert tries == simulation.RAY_STARTS
