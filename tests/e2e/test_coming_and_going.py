"""Nodes that come late, leave, return under another id or are mended while a run goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from flwr.app import Error, Message
from tiny_run import (
    CENSUS,
    DEFAULTS,
    ONE_EACH,
    TINY,
    ComingAndGoing,
    NamedNodes,
    Settings,
    SlowToAnswer,
    census_from,
    edited_census,
    lines,
    no_samples,
    open_tiny,
    other_version,
    run_tiny,
    tiny_config,
    told,
)

from concord.errors import ConcordError
from server_app.in_process import Intercept, pass_on
from server_app.run import Run, open_run
from strategies import admission

ODD, NAME = 2, ONE_EACH[1]


def coming_and_going(
    folder: Path, names: Sequence[str], present: Sequence[int], intercept: Intercept = pass_on, settings: Settings = DEFAULTS
) -> tuple[Run, ComingAndGoing]:
    config = tiny_config(folder, {"rounds": 3, **settings})
    grid = ComingAndGoing(config, names, intercept)
    grid.present = present
    run = open_run(config, grid)
    run.wait_for_nodes()
    return run, grid


def test_a_node_that_comes_late_joins_and_one_that_left_is_not_asked(tmp_path: Path) -> None:
    run, grid = coming_and_going(tmp_path, ONE_EACH, [1, 2])
    run.train_round(1)
    grid.present = [1, 2, 3]
    run.train_round(2)
    grid.present = [2, 3]
    run.train_round(3)
    assert [(line["asked"], line["replies"]) for line in lines(tmp_path, "round")] == [(2, 2), (3, 3), (2, 2)]
    assert {line["node"] for line in lines(tmp_path, "node") if line["round"] == 2} == set(ONE_EACH)
    assert {line["node"] for line in lines(tmp_path, "node") if line["round"] == 3} == set(ONE_EACH[1:])


def test_a_late_node_that_is_refused_is_told_in_its_round(tmp_path: Path) -> None:
    run, grid = coming_and_going(tmp_path, ONE_EACH, [1, 3], census_from(ODD, told(no_samples)))
    run.train_round(1)
    grid.present = [1, 2, 3]
    run.train_round(2)
    run.train_round(3)
    assert [(line["round"], line["node"], line["reason"]) for line in lines(tmp_path, "rejection")] == [(2, NAME, "no-data")]


def test_a_node_that_returns_under_another_id_takes_its_place_again(tmp_path: Path) -> None:
    run, grid = coming_and_going(tmp_path, (*ONE_EACH, NAME), [1, 2, 3])
    run.train_round(1)
    grid.present = [1, 3, 4]
    run.train_round(2)
    assert lines(tmp_path, "rejection") == []
    assert {line["node"] for line in lines(tmp_path, "node") if line["round"] == 2} == set(ONE_EACH)
    assert sorted(census.node for census in run.strategy.admission.members.values()) == sorted(ONE_EACH)


def test_min_nodes_waits_for_nodes_that_connect_while_it_waits(tmp_path: Path) -> None:
    class Slow(NamedNodes):
        asked = 0

        def get_node_ids(self) -> list[int]:
            self.asked += 1
            return super().get_node_ids()[: self.asked]

    config = tiny_config(tmp_path, {"min-nodes": 3})
    run = open_run(config, Slow(config, ONE_EACH))
    run.wait_for_nodes()
    assert len(run.strategy.admission.members) == 3
    assert "rounds" in TINY


def test_a_node_that_missed_the_census_is_asked_again(tmp_path: Path) -> None:
    answers = iter([None])

    def silent_once(reply: Message) -> Message | None:
        return next(answers, reply)

    settings = {"rounds": 2, "round-timeout": 0.2}
    result = run_tiny(tmp_path, settings, intercept=census_from(ODD, silent_once))
    assert [(r.round, r.reason) for r in result.rejections] == [(0, "no-reply")]
    assert NAME in result.node_accuracy


def test_a_round_waits_for_nodes_while_all_are_away(tmp_path: Path) -> None:
    run, grid = coming_and_going(tmp_path, ONE_EACH, [1, 2])
    run.train_round(1)
    grid.present = []
    back = threading.Timer(0.7, lambda: setattr(grid, "present", [2, 3]))
    back.start()
    run.train_round(2)
    back.join()
    assert [line["replies"] for line in lines(tmp_path, "round")][1] >= 1
    grid.present = []
    back = threading.Timer(0.7, lambda: setattr(grid, "present", [1]))
    back.start()
    assert run.evaluate().accuracy
    back.join()


def test_a_round_without_any_node_keeps_the_old_model_after_the_deadline(tmp_path: Path) -> None:
    run, grid = coming_and_going(tmp_path, ONE_EACH, [1, 2], settings={"round-timeout": 0.5})
    grid.present = []
    started = time.monotonic()
    run.train_round(1)
    assert time.monotonic() - started >= 0.5
    (line,) = lines(tmp_path, "round")
    assert (line["asked"], line["kept-old-model"]) == (0, True)


@pytest.mark.parametrize(("needed", "said"), [({}, ""), ({"min-replies": 3}, "2 nodes can take part, min-replies is 3")])
def test_a_run_that_goes_on_needs_what_a_round_needs_and_not_min_nodes(needed: Settings, said: str, tmp_path: Path) -> None:
    settings = {"rounds": 2, "min-nodes": 3, "round-timeout": 0.5, **needed}
    open_and_stop_after_a_round(tmp_path, settings)
    again = open_tiny(tmp_path, {**settings, "resume": True}, ONE_EACH[:2])
    if said:
        with pytest.raises(ConcordError, match=f"C401 .*{said}"):
            again.rounds()
    else:
        again.rounds()
        assert lines(tmp_path, "round")[-1]["replies"] == 2


def open_and_stop_after_a_round(folder: Path, settings: Settings) -> None:
    run = open_tiny(folder, settings)
    run.wait_for_nodes()
    run.train_round(1)


def asked_in(rounds: int, folder: Path, answer: Callable[[Message, Message], Message | None]) -> list[int]:
    """The number of finished rounds, each time that node `ODD` was asked for its census."""
    asked: list[int] = []

    def intercept(node_id: int, message: Message, reply: Message) -> Message | None:
        if node_id != ODD or message.metadata.message_type != CENSUS:
            return reply
        asked.append(run.strategy.state.round_)
        return answer(message, reply)

    run = open_tiny(folder, {"rounds": rounds, "local-steps": 1, "round-timeout": 0.2}, ONE_EACH[:2], intercept)
    run.rounds()
    return asked


def test_a_node_that_was_refused_is_asked_once_a_round_until_it_is_mended(tmp_path: Path) -> None:
    assert asked_in(4, tmp_path / "fails", lambda message, reply: Message(Error(1, "broken"), reply_to=message)) == [0, 1, 2, 3]
    assert [(line["round"], line["reason"]) for line in lines(tmp_path / "fails", "rejection")] == [(0, "node-error")]
    answers = iter([None])
    assert asked_in(4, tmp_path / "recovers", lambda message, reply: next(answers, reply)) == [0, 1]
    versions = iter([other_version, other_version])
    assert asked_in(
        4, tmp_path / "installed", lambda message, reply: edited_census(reply, next(versions, lambda census: None))
    ) == [0, 1, 2]
    assert [line["replies"] for line in lines(tmp_path / "installed", "round")] == [1, 1, 2, 2, 2]


def test_a_name_is_free_again_when_the_node_that_had_it_is_gone(tmp_path: Path) -> None:
    run, grid = coming_and_going(tmp_path, (*ONE_EACH, NAME), [1, 2, 3, 4])
    run.train_round(1)
    grid.present = [1, 3, 4]
    run.train_round(2)
    assert [line["replies"] for line in lines(tmp_path, "round")] == [3, 3]
    assert set(run.strategy.admission.members) == {1, 3, 4}


def test_the_others_do_not_wait_for_a_new_node_and_it_joins_when_it_has_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "NEW_NODE_SECONDS", 0.2)
    config = tiny_config(tmp_path, {"rounds": 5})
    grid = SlowToAnswer(config, ONE_EACH)
    grid.present = [1, 3]
    run = open_run(config, grid)
    run.wait_for_nodes()
    grid.present = [1, 2, 3]
    started = time.monotonic()
    run.train_round(1)
    run.train_round(2)
    assert time.monotonic() - started < 60, "round-timeout is 600"
    grid.let_go = True
    run.train_round(3)
    assert [line["replies"] for line in lines(tmp_path, "round")] == [2, 2, 3]
    assert lines(tmp_path, "rejection") == []


def test_a_new_node_that_stays_silent_is_refused_when_its_time_is_over(tmp_path: Path) -> None:
    run, grid = coming_and_going(tmp_path, ONE_EACH, [1, 3], census_from(ODD, lambda reply: None), {"round-timeout": 0.2})
    grid.present = [1, 2, 3]
    run.train_round(1)
    assert [(line["round"], line["node"], line["reason"]) for line in lines(tmp_path, "rejection")] == [(1, "node 2", "no-reply")]
    assert lines(tmp_path, "round")[0]["replies"] == 2


def test_a_run_that_goes_on_waits_a_while_for_those_it_began_with(tmp_path: Path) -> None:
    open_and_stop_after_a_round(tmp_path, {"rounds": 2, "min-nodes": 3})
    config = tiny_config(tmp_path, {"rounds": 2, "min-nodes": 3, "resume": True})
    grid = ComingAndGoing(config, ONE_EACH)
    grid.present = [1]
    run = open_run(config, grid)
    back = threading.Timer(0.5, lambda: setattr(grid, "present", [1, 2, 3]))
    back.start()
    run.wait_for_nodes()
    back.join()
    assert len(run.strategy.admission.members) == 3
