"""SIGKILL of each part in the middle of a round: the run ends by itself, with the figures of an undisturbed one.

The four federations run side by side, because most of the time each waits for Flower's heartbeats (about a minute).
"""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from real_federation import NODES, ROUNDS, assert_same_accuracy, federation, run_config
from tiny_run import lines

from benchmarks.federation import PARTS, wait_until
from concord.deployment import follow
from concord.flower import repository
from server_app.results import Result, load_result

pytestmark = pytest.mark.process

VICTIM = NODES[1]
KILLED_IN = 2


def disturbed(folder: Path, dealt: Path, part: str) -> Path:
    """A run during whose round `KILLED_IN` a part is killed, at a random moment; its run folder."""
    run, struck = folder / "run", list[bool]()
    config = run_config(run, dealt)
    with federation(folder, dealt) as fed:

        def strike() -> None:
            assert wait_until(lambda: len(lines(run, "round")) >= KILLED_IN - 1, 300)
            time.sleep(random.uniform(0, 4))
            struck.append(fed.kill_part(part, VICTIM, patience=60))

        striker = threading.Thread(target=strike)
        striker.start()
        follow(fed.superlink, repository(), config)
        striker.join()
    assert struck == [True], f"no {part} was killed"
    return run


@pytest.fixture(scope="module")
def killed(dealt: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path | BaseException]:
    """Run folder by what was killed, or what went wrong."""
    with ThreadPoolExecutor(len(PARTS)) as pool:
        futures = {part: pool.submit(disturbed, tmp_path_factory.mktemp(part.split()[0].lower()), dealt, part) for part in PARTS}
    return {name: future.exception() or future.result() for name, future in futures.items()}


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("what", PARTS)
def test_a_run_survives(what: str, killed: dict[str, Path | BaseException], undisturbed: Result) -> None:
    run = killed[what]
    if isinstance(run, BaseException):
        raise run
    result = load_result(run)
    assert [(line["round"], line["replies"]) for line in lines(run, "round")[:ROUNDS]] == [
        (round_, len(NODES)) for round_ in range(1, ROUNDS + 1)
    ]
    assert result.rejections == []
    assert_same_accuracy(result, undisturbed)
