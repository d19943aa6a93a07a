"""A run that was cut short and goes on gives the figures of one that was not."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Message
from tiny_run import ONE_EACH, TRAIN, Settings, at, edited, lines, open_tiny, run_tiny

from concord.errors import ConcordError
from concord.run_folder import RunFolder
from server_app.in_process import Intercept, pass_on

NODES = ONE_EACH[:2]


class PowerCutError(Exception):
    pass


def cut(node_id: int, message: Message, reply: Message) -> Message:
    """The server dies in the middle of round 3, when some nodes have trained already."""
    if at(TRAIN, 3, message) and node_id == 2:
        raise PowerCutError
    return reply


def timeless(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The result and all metrics, without seconds and without the start and end of the run."""
    result = json.loads(RunFolder(folder).result.read_text())
    del result["seconds"]
    metrics = [{k: v for k, v in line.items() if k != "seconds"} for line in RunFolder(folder).read_metrics()]
    return result, [line for line in metrics if line["scope"] != "run"]


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "geolora", "adapter.kind": "dora"},
        {"method": "geolora", "geolora.consensus": "leave-own-out", "adapter.train-a": True, "aggregation.rule": "low-rank"},
        {"method": "local"},
        {"method": "fedproto"},
    ],
    ids=lambda settings: "-".join(map(str, settings.values())),
)
def test_a_run_that_was_cut_in_round_3_ends_as_if_it_was_not(settings: Settings, tmp_path: Path) -> None:
    settings = {**settings, "rounds": 4, "min-nodes": 2}
    run_tiny(tmp_path / "whole", settings, NODES)
    with pytest.raises(PowerCutError):
        run_tiny(tmp_path / "cut", settings, NODES, cut)
    assert max(line["round"] for line in lines(tmp_path / "cut", "round")) == 2
    run_tiny(tmp_path / "cut", {**settings, "resume": True}, NODES)
    assert timeless(tmp_path / "cut") == timeless(tmp_path / "whole")
    events = [(line["event"], line["message"]) for line in lines(tmp_path / "cut", "run")]
    assert events == [("started", ""), ("started", "resumed after round 2"), ("finished", "")]


def test_rejections_of_before_are_told_once_after_a_resume(tmp_path: Path) -> None:
    def bad(then: Intercept) -> Intercept:
        def intercept(node_id: int, message: Message, reply: Message) -> Message | None:
            if node_id == 3 and at_census(message):
                return None
            if node_id == 1 and at(TRAIN, 1, message):
                reply = edited(reply, lambda report, arrays: arrays["trunk"].fill(math.nan))
            return then(node_id, message, reply)

        return intercept

    settings = {"rounds": 3, "round-timeout": 0.2}
    with pytest.raises(PowerCutError):
        run_tiny(tmp_path, settings, ONE_EACH, bad(cut))
    result = run_tiny(tmp_path, {**settings, "resume": True}, ONE_EACH, bad(pass_on))
    assert [(r.round, r.node, r.reason) for r in result.rejections] == [(0, "node 3", "no-reply"), (1, ONE_EACH[0], "not-finite")]


def at_census(message: Message) -> bool:
    return message.metadata.message_type == "query.census"


def test_a_finished_run_can_be_given_more_rounds_and_finished_again(tmp_path: Path) -> None:
    run_tiny(tmp_path, {"rounds": 1}, NODES)
    first = timeless(tmp_path)
    run_tiny(tmp_path, {"rounds": 1, "resume": True}, NODES)
    assert timeless(tmp_path) == first
    result = run_tiny(tmp_path, {"rounds": 3, "resume": True}, NODES)
    assert [line["round"] for line in lines(tmp_path, "round")] == [1, 2, 3, 4]
    assert result.rounds == 3
    with pytest.raises(ConcordError, match=r"C402 .*3 rounds are done, and rounds is 2"):
        open_tiny(tmp_path, {"rounds": 2, "resume": True})


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"seed": 1}, "seed was 0, is 1"), ({"adapter.rank": 1}, "adapter.rank was 2, is 1"), ({"method": "fedavg"}, "method was")],
)
def test_a_run_does_not_go_on_with_other_settings(changes: Settings, told: str, tmp_path: Path) -> None:
    run_tiny(tmp_path, {"rounds": 1}, NODES)
    before = RunFolder(tmp_path).config.read_text()
    with pytest.raises(ConcordError, match=f"C402 .*{told}"):
        open_tiny(tmp_path, {"rounds": 1, "resume": True, **changes})
    assert RunFolder(tmp_path).config.read_text() == before


def test_a_run_that_was_cut_in_round_1_starts_again(tmp_path: Path) -> None:
    def cut_at_once(node_id: int, message: Message, reply: Message) -> Message:
        raise PowerCutError

    run_tiny(tmp_path / "whole", {"rounds": 1}, NODES)
    with pytest.raises(PowerCutError):
        run_tiny(tmp_path / "cut", {"rounds": 1}, NODES, cut_at_once)
    run_tiny(tmp_path / "cut", {"rounds": 1, "resume": True}, NODES)
    assert timeless(tmp_path / "cut") == timeless(tmp_path / "whole")


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    run_tiny(tmp_path, {"rounds": 1}, NODES)
    (file,) = RunFolder(tmp_path).checkpoint.iterdir()
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ConcordError, match=f"C402 .*{file.name}"):
        open_tiny(tmp_path, {"rounds": 1, "resume": True})


def test_a_run_does_not_overwrite_another(tmp_path: Path) -> None:
    run_tiny(tmp_path, {"rounds": 1}, NODES)
    before = timeless(tmp_path)
    with pytest.raises(ConcordError, match="C405"):
        open_tiny(tmp_path, {"rounds": 1})
    assert timeless(tmp_path) == before
