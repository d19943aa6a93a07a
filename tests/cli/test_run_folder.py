"""Run folders: whole files after a crash at any moment, and metrics that survive torn lines."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concord.config import RunConfig, parse_config
from concord.errors import ConcordError
from concord.run_folder import RunFolder, atomic_write


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def started(folder: RunFolder, *lines: Mapping[str, object]) -> RunFolder:
    folder.prepare(RunConfig())
    for line in lines:
        folder.append_metrics(line)
    return folder


@pytest.mark.parametrize("content", ["text ü", b"\x00bytes"])
def test_atomic_write_replaces(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "new" / "file"
    atomic_write(path, "old")
    atomic_write(path, content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert [p.name for p in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("moment", ["os.fsync", "pathlib.Path.replace"])
def test_a_crash_before_the_replacement_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    path = tmp_path / "file"
    atomic_write(path, "old")

    def crash(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(moment, crash)
    with pytest.raises(OSError, match="disk full"):
        atomic_write(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_new_file_has_usual_permissions(tmp_path: Path) -> None:
    atomic_write(tmp_path / "atomic", "")
    (tmp_path / "plain").touch()
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_config_comes_back(folder: RunFolder) -> None:
    config = parse_config({"seed": 3, "model.trunk": "ü", "lr": 1e-5})
    folder.prepare(config)
    assert parse_config(folder.read_config()) == config


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_a_folder_without_a_config_is_no_run(folder: RunFolder, content: str | None) -> None:
    if content is not None:
        atomic_write(folder.config, content)
    with pytest.raises(ConcordError, match="C405"):
        folder.read_config()


def test_prepare_twice_before_the_run_starts(folder: RunFolder) -> None:
    folder.prepare(RunConfig())
    folder.prepare(RunConfig(seed=1))
    assert folder.read_config()["seed"] == 1


def test_prepare_keeps_another_run_safe(folder: RunFolder) -> None:
    started(folder, {"scope": "run", "event": "started"})
    with pytest.raises(ConcordError, match="C405"):
        folder.prepare(RunConfig(seed=1))
    assert folder.read_config()["seed"] == 0
    folder.prepare(RunConfig(resume=True))
    assert folder.read_config()["resume"] is True


def test_prepare_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConcordError, match="C405"):
        RunFolder(tmp_path / "file" / "run").prepare(RunConfig())


def test_metrics_come_back(folder: RunFolder) -> None:
    assert folder.read_metrics() == []
    lines = [{"scope": "round", "round": r, "text": "a\nb\u2028c"} for r in (1, 2)]
    assert started(folder, *lines).read_metrics() == lines


def test_figures_that_are_not_finite_are_null(folder: RunFolder) -> None:
    started(folder, {"accuracy": math.nan, "weight": {"a": [math.inf, 1.0]}})
    assert folder.read_metrics() == [{"accuracy": None, "weight": {"a": [None, 1.0]}}]


@given(cut=st.integers(min_value=1, max_value=60))
def test_a_torn_last_line_is_left_out(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    folder = started(
        RunFolder(tmp_path_factory.mktemp("torn")), {"round": 1, "modality": "ü"}, {"round": 2, "modality": "speech"}
    )
    whole = folder.metrics.read_bytes()
    cut = min(cut, len(whole))
    folder.metrics.write_bytes(whole[:-cut])
    assert (
        folder.read_metrics() == [{"round": 1, "modality": "ü"}, {"round": 2, "modality": "speech"}][: len(folder.read_metrics())]
    )
    folder.truncate_metrics(after_round=2)
    folder.append_metrics({"round": 3})
    assert folder.read_metrics()[-1] == {"round": 3}


def test_truncation_drops_later_rounds_only(folder: RunFolder) -> None:
    run = {"scope": "run", "event": "started", "message": ""}
    rounds = [{"scope": "modality", "round": r, "accuracy": 0.1 * r} for r in (1, 2, 3)]
    started(folder, run, *rounds).truncate_metrics(after_round=2)
    assert folder.read_metrics() == [run, *rounds[:2]]


HOLD = """
import sys
from concord.run_folder import RunFolder
folder = RunFolder(sys.argv[1])
folder.lock()
print("held", flush=True)
input()
"""


def test_only_one_process_writes_into_a_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(ConcordError, match=r"C405 .*another process writes"):
            RunFolder(tmp_path / "run").lock(patience=0.3)
        other.kill()
    RunFolder(tmp_path / "run").lock(patience=5)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConcordError, match="C405"):
        RunFolder(tmp_path / "file" / "run").lock()


@pytest.mark.parametrize(
    ("events", "result", "finished"),
    [
        (["started", "finished"], '{"rounds": 3}', True),
        (["started", "finished"], '{"rounds": 2}', False),  # it was given more rounds, and cut off before it began
        (["started", "finished", "started"], '{"rounds": 3}', False),
        (["started", "failed"], '{"rounds": 3}', False),
        ([], '{"rounds": 3}', False),
        (["finished"], None, False),
        (["finished"], "{", False),
        (["finished"], "[]", False),
    ],
)
def test_only_figures_of_all_rounds_after_the_end_are_final(
    events: list[str], result: str | None, finished: bool, folder: RunFolder
) -> None:
    started(folder, *({"scope": "run", "event": event} for event in events))
    if result is not None:
        folder.result.write_text(result)
    assert folder.is_finished(3) is finished


def test_what_a_killed_process_left_half_written_is_removed(folder: RunFolder) -> None:
    for path in (folder.checkpoint, folder.model):
        path.mkdir(parents=True)
    folder.lock()
    unfinished = [folder.checkpoint / ".state.safetensors.7", folder.model / ".model.json.7", folder.path / ".result.json.7"]
    ours = [
        folder.checkpoint / "state.safetensors",
        folder.path / ".report.html.8",
        folder.path / ".notes",
        folder.path / ".lock",
    ]
    for file in (*unfinished, *ours):
        file.touch()
    os.utime(unfinished[-1], (0, 0))
    folder.remove_unfinished()
    assert not [file for file in unfinished if file.exists()]
    assert all(file.exists() for file in ours), "a report may be in the making in another process"
