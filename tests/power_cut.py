"""A server that dies in the middle of a round, and what a run left without what the clock says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flwr.app import Message
from tiny_run import TRAIN, at

from concord.run_folder import RunFolder


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
