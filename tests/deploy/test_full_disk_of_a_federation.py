"""The disk of the server fills up while a federation of real processes trains."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from real_federation import NODES, ROUNDS, assert_same_accuracy, federation, run_config
from tiny_run import lines

from benchmarks.federation import SERVER_EXECUTOR, wait_until
from concord.deployment import follow
from concord.errors import ConcordError
from concord.flower import repository
from concord.run_folder import RunFolder
from server_app.checkpoint import has_checkpoint, load_checkpoint
from server_app.results import Result, load_result
from strategies.consensus import NoConsensus

pytestmark = pytest.mark.process
ROOM = 20_000  # bytes: less than a checkpoint, more than what else a round writes


@pytest.mark.timeout(900)
def test_the_run_says_so_keeps_its_last_checkpoint_and_goes_on_once_there_is_room(
    dealt: Path, tmp_path: Path, undisturbed: Result
) -> None:
    run = tmp_path / "run"
    config = run_config(run, dealt)
    with federation(tmp_path, dealt) as fed:

        def fill() -> None:
            assert wait_until(lambda: has_checkpoint(RunFolder(run).checkpoint), 300)
            fed.limit_files(SERVER_EXECUTOR, ROOM)

        filling = threading.Thread(target=fill)
        filling.start()
        with pytest.raises(ConcordError, match="C406 the run folder cannot be written"):
            follow(fed.superlink, repository(), config)
        filling.join()
        assert load_checkpoint(RunFolder(run).checkpoint, NoConsensus()).round_ == 1
        follow(fed.superlink, repository(), config)
    result = load_result(run)
    assert [(line["round"], line["replies"]) for line in lines(run, "round")[:ROUNDS]] == [
        (round_, len(NODES)) for round_ in range(1, ROUNDS + 1)
    ]
    assert_same_accuracy(result, undisturbed)
