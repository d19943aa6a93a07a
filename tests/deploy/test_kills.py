"""SIGKILL of each part in the middle of a round: the run ends by itself, with the figures of an undisturbed one.

The four federations run side by side, because most of the time each waits for Flower's heartbeats (about a minute).
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from real_federation import NODES, ROUNDS, federation, run_config
from tiny_run import lines

from benchmarks.federation import (
    SERVER_EXECUTOR,
    SUPERLINK,
    LocalFederation,
    client_executor,
    supernode,
    wait_until,
)
from concord.deployment import follow
from concord.flower import repository
from server_app.results import Result, load_result

VICTIM = NODES[1]
pytestmark = pytest.mark.process

TOLERANCE = 0.02  # of an accuracy: the server's trunk is warmed up with another number of threads
KILLED_IN = 2


def kill_client_app(fed: LocalFederation) -> None:
    assert wait_until(lambda: fed.kill_app(client_executor(VICTIM)), 60, pause=0.02), "no ClientApp process was seen"


KILLS: dict[str, Callable[[LocalFederation], None]] = {
    "ClientApp": kill_client_app,
    "SuperNode": lambda fed: fed.kill(supernode(VICTIM)),
    "ServerApp executor": lambda fed: fed.kill(SERVER_EXECUTOR),
    "SuperLink": lambda fed: fed.kill(SUPERLINK),
}


def disturbed(folder: Path, dealt: Path, kill: Callable[[LocalFederation], None]) -> Path:
    """A run during whose round `KILLED_IN` something is killed, at a random moment; its run folder."""
    run = folder / "run"
    config = run_config(run, dealt)
    with federation(folder, dealt) as fed:

        def strike() -> None:
            assert wait_until(lambda: len(lines(run, "round")) >= KILLED_IN - 1, 300)
            time.sleep(random.uniform(0, 4))
            kill(fed)

        striker = threading.Thread(target=strike)
        striker.start()
        follow(fed.superlink, repository(), config)
        striker.join()
    return run


@pytest.fixture(scope="module")
def killed(dealt: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path | BaseException]:
    """Run folder by what was killed, or what went wrong."""
    with ThreadPoolExecutor(len(KILLS)) as pool:
        futures = {
            name: pool.submit(disturbed, tmp_path_factory.mktemp(name.split()[0].lower()), dealt, kill)
            for name, kill in KILLS.items()
        }
    return {name: future.exception() or future.result() for name, future in futures.items()}


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("what", KILLS)
def test_a_run_survives(what: str, killed: dict[str, Path | BaseException], undisturbed: Result) -> None:
    run = killed[what]
    if isinstance(run, BaseException):
        raise run
    result = load_result(run)
    assert [(line["round"], line["replies"]) for line in lines(run, "round")[:ROUNDS]] == [
        (round_, len(NODES)) for round_ in range(1, ROUNDS + 1)
    ]
    assert result.rejections == []
    for split, by_modality in undisturbed.accuracy.items():
        for modality, figure in by_modality.items():
            assert result.accuracy[split][modality].accuracy == pytest.approx(figure.accuracy, abs=TOLERANCE)
