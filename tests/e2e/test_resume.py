"""A run that was cut short and goes on gives the figures of one that was not."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Error, Message
from power_cut import PowerCutError, cut, run_whole_and_cut, timeless
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny_run import FINAL, ONE_EACH, TRAIN, NamedNodes, Settings, at, edited, lines, open_tiny, run_tiny, tiny_config

from concord.config import RunConfig
from concord.errors import ConcordError
from concord.run_folder import RunFolder
from server_app import checkpoint
from server_app.in_process import Intercept, pass_on
from server_app.run import open_run

NODES = ONE_EACH[:2]


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "geolora", "adapter.kind": "dora"},
        {"method": "geolora", "geolora.consensus": "leave-own-out", "adapter.train-a": True, "aggregation.rule": "low-rank"},
        {"method": "local"},
        {"method": "fedproto"},
        {"method": "fedmchain"},
        {"method": "fedavg", "update.values": "sign"},
    ],
    ids=lambda settings: "-".join(map(str, settings.values())),
)
def test_a_run_that_was_cut_in_round_3_ends_as_if_it_was_not(settings: Settings, tmp_path: Path) -> None:
    settings = {**settings, "rounds": 4, "min-nodes": 2}
    run_whole_and_cut(tmp_path, settings, NODES)
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


def test_a_checkpoint_of_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "version", lambda name: "0.0.9")
        run_tiny(tmp_path, {"rounds": 1}, NODES)
    with pytest.raises(ConcordError, match=r"C402 .*written by Concord 0\.0\.9"):
        open_tiny(tmp_path, {"rounds": 2, "resume": True})
    edit_checkpoint(tmp_path, lambda about: about.pop("version"))
    with pytest.raises(ConcordError, match=r"C402 .*did not say which"):
        open_tiny(tmp_path, {"rounds": 2, "resume": True})


def edit_checkpoint(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    path = RunFolder(folder).checkpoint / checkpoint.FILE
    with safe_open(path, framework="pt") as file:
        about = json.loads(file.metadata()["concord"])
    edit(about)
    save_file(load_file(path), path, {"concord": json.dumps(about)})


class Deployed(NamedNodes):
    """Nodes with a folder of their own; the second one can be away."""

    away = False

    def __init__(self, config: RunConfig, state: Path) -> None:
        super().__init__(config, NODES)
        for node_id in (1, 2):
            self.context(node_id).node_config["state-folder"] = str(state / str(node_id))

    def get_node_ids(self) -> list[int]:
        return [1] if self.away else [1, 2]


def deployed(folder: Path, state: Path, settings: Settings, away: tuple[bool, ...]) -> None:
    """A round for each of `away`, in which the second node is away or not."""
    config = tiny_config(folder / "run", settings)
    grid = Deployed(config, state)
    run = open_run(config, grid)
    run.wait_for_nodes()
    for round_, grid.away in enumerate(away, 1):
        run.train_round(round_)


def test_a_run_that_was_deleted_and_begun_anew_uses_nothing_of_the_old_one(tmp_path: Path) -> None:
    for method in ("geolora", "local"):
        deployed(tmp_path / f"old-{method}", tmp_path / "state", {"method": method, "seed": 1}, (False,))
    for folder, state in (("new", "state"), ("alone", "other-state")):
        deployed(tmp_path / folder, tmp_path / state, {"method": "local"}, (True, False))
    assert evaluations(tmp_path / "new") == evaluations(tmp_path / "alone")
    assert lines(tmp_path / "new" / "run", "rejection") == []


def evaluations(folder: Path) -> list[tuple[str, float]]:
    return [(line["modality"], line["loss"]) for line in lines(folder / "run", "modality")]


def test_the_private_state_of_a_run_stays_its_own_when_it_goes_on(tmp_path: Path) -> None:
    with pytest.raises(PowerCutError):
        run_tiny(tmp_path, {"rounds": 4}, NODES, cut)
    run_tiny(tmp_path, {"rounds": 4, "resume": True}, NODES)
    assert len({path.parent.name for path in RunFolder(tmp_path).nodes.glob("*/*/round-*")}) == 1


def test_the_figures_of_a_round_are_on_the_disk_before_its_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def note(handle: int) -> None:
        synced.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        fsync(handle)

    monkeypatch.setattr(os, "fsync", note)
    run_tiny(tmp_path, {"rounds": 2}, NODES)
    told = [name for name in synced if name.startswith(("metrics", f".{checkpoint.FILE}"))]
    assert [name.startswith("metrics") for name in told] == [True, False] * 2


def test_a_run_without_a_good_reply_in_the_end_has_failed_and_goes_on_when_the_nodes_are_mended(tmp_path: Path) -> None:
    def fail(node_id: int, message: Message, reply: Message) -> Message:
        return Message(Error(1, "RuntimeError: no GPU"), reply_to=message) if message.metadata.message_type == FINAL else reply

    with pytest.raises(ConcordError, match=r"C407 .*node-error.*no GPU"):
        run_tiny(tmp_path, {"rounds": 1}, NODES, fail)
    assert not RunFolder(tmp_path).result.exists()
    assert not RunFolder(tmp_path).is_finished(1)
    assert run_tiny(tmp_path, {"rounds": 1, "resume": True}, NODES).accuracy
    assert RunFolder(tmp_path).is_finished(1)
