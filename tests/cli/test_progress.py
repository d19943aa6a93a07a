"""Progress: what metrics lines come to, on a terminal and elsewhere."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from concord.config import RunConfig
from concord.console import plain_console
from concord.progress import WAITING, Progress, Watch, render, summarise
from concord.run_folder import RunFolder


def round_lines(round_: int, rounds: int = 4) -> list[dict[str, Any]]:
    modality = {"scope": "modality", "round": round_, "loss": 1.0, "examples": 10}
    traffic = {"bytes-up": 1_000_000, "bytes-down": 2_000_000, "replies": 2, "asked": 3, "rejected": 1}
    return [
        {**modality, "modality": "speech", "split": "random", "accuracy": round_ / 10},
        {**modality, "modality": "image", "split": "random", "accuracy": round_ / 5},
        {**modality, "modality": "image", "split": "unseen", "accuracy": 0.0},
        {"scope": "round", "round": round_, "rounds": rounds, "seconds": 30.0, **traffic, "kept-old-model": False},
    ]


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path)
    folder.prepare(RunConfig())
    return folder


def say(folder: RunFolder, *rounds: int) -> None:
    for round_ in rounds:
        for line in round_lines(round_):
            folder.append_metrics(line)


def recorder(*, terminal: bool) -> Console:
    return plain_console(file=io.StringIO(), record=True, width=120, force_terminal=terminal, color_system=None)


def test_summary_of_nothing() -> None:
    assert summarise([]) == Progress()
    assert Progress().time_left() == WAITING


def test_summary_adds_up() -> None:
    progress = summarise([{"scope": "run", "event": "started"}, *round_lines(1), *round_lines(2)])
    assert (progress.done, progress.rounds, progress.seconds_left) == (2, 4, 60.0)
    assert progress.accuracy == {"image": 0.4, "speech": 0.2}
    assert (progress.bytes_up, progress.bytes_down, progress.rejected) == (2_000_000, 4_000_000, 2)
    assert progress.line() == "round 2/4  image 0.400  speech 0.200  up 2.0 MB  down 4.0 MB  rejected 2  1:00 left"


def test_summary_of_the_final_evaluation() -> None:
    progress = summarise([line for round_ in range(1, 6) for line in round_lines(round_)])
    assert progress.heading() == "final evaluation"
    assert progress.time_left() == "0:00 left"


def test_the_latest_accuracy_counts_not_the_best() -> None:
    assert summarise([*round_lines(2), *round_lines(1)]).accuracy == {"image": 0.2, "speech": 0.1}


def test_an_accuracy_that_is_not_known_is_left_out() -> None:
    lines = [*round_lines(1), {"scope": "modality", "round": 2, "modality": "image", "split": "random", "accuracy": None}]
    assert summarise(lines).accuracy == {"image": 0.2, "speech": 0.1}


def test_slices_of_agents_are_not_shown() -> None:
    line = {"scope": "modality", "round": 1, "split": "random", "accuracy": 0.5}
    told = summarise([{**line, "modality": name} for name in ("image", "image redundant alone", "image without unique")])
    assert told.accuracy == {"image": 0.5}


def test_table_shows_everything() -> None:
    console = recorder(terminal=True)
    console.print(render(summarise(round_lines(1))))
    text = console.export_text()
    for part in ("round 1/4", "1:30 left", "image 0.200", "speech 0.100", "up 1.0 MB", "down 2.0 MB", "rejected 1"):
        assert part in text


def test_plain_output_has_one_line_a_round(folder: RunFolder) -> None:
    console = recorder(terminal=False)
    with Watch(folder, console) as watch:
        watch()
        say(folder, 1)
        watch()
        watch()
        say(folder, 2, 3, 4, 5)
        watch()
    assert [line.split("  ")[0] for line in console.export_text().splitlines()] == ["round 1/4", "final evaluation"]


def test_a_resumed_run_does_not_repeat_old_rounds(folder: RunFolder) -> None:
    say(folder, 1, 2)
    console = recorder(terminal=False)
    with Watch(folder, console) as watch:
        watch()
        folder.truncate_metrics(after_round=1)
        watch()
        say(folder, 2, 3)
        watch()
    assert [line.split("  ")[0] for line in console.export_text().splitlines()] == ["round 3/4"]


def test_live_output_ends_clean(folder: RunFolder) -> None:
    console = recorder(terminal=True)
    with Watch(folder, console) as watch:
        say(folder, 1)
        watch()
    assert "round 1/4" in console.export_text()
