"""Runs a Flower app that is not Concord on a SuperLink, to its end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from concord.config import Scalar
from concord.deployment import SuperLink
from concord.flower import COMPLETED

POLL_SECONDS = 2.0


def run_app(superlink: SuperLink, app: Path, run_config: Mapping[str, Scalar]) -> None:
    """Submits and waits; RuntimeError with the log when the run failed."""
    run_id = superlink.submit(app, run_config)
    while True:
        status = superlink.status(run_id)
        if status is not None and (not status[0] or status[0].startswith("finished")):
            break
        time.sleep(POLL_SECONDS)
    if status[0] != COMPLETED:
        raise RuntimeError(f"{status[0]} {status[1]}\n{superlink.log(run_id)}")
