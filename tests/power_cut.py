"""A server that dies in the middle of a round, and what a run left without what the clock says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Message
from tiny_run import TRAIN, Settings, at, lines, run_tiny

from concord.run_folder import RunFolder
from server_app.in_process import Intercept, pass_on


class PowerCutError(Exception):
    pass


def cut(node_id: int, message: Message, reply: Message) -> Message:
    """The server dies in the middle of round 3, when some nodes have trained already."""
    if at(TRAIN, 3, message) and node_id == 2:
        raise PowerCutError
    return reply


def run_whole_and_cut(folder: Path, settings: Settings, names: Sequence[str], then: Intercept = pass_on) -> None:
    """Checks that a run that was cut in round 3 ends as one that was not; `then` has its hands on it once it goes on."""
    run_tiny(folder / "whole", settings, names)
    with pytest.raises(PowerCutError):
        run_tiny(folder / "cut", settings, names, cut)
    assert max(line["round"] for line in lines(folder / "cut", "round")) == 2
    run_tiny(folder / "cut", {**settings, "resume": True}, names, then)
    assert timeless(folder / "cut") == timeless(folder / "whole")


def timeless(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The result and all metrics, without seconds and without the start and end of the run."""
    result = json.loads(RunFolder(folder).result.read_text())
    del result["seconds"]
    metrics = [{k: v for k, v in line.items() if k != "seconds"} for line in RunFolder(folder).read_metrics()]
    return result, [line for line in metrics if line["scope"] != "run"]
