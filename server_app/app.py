"""The server's Flower ServerApp: a thin shell around `Run`."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import torch
from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from concord.config import default_run_folder, parse_config
from concord.errors import ConcordError
from concord.run_folder import RunFolder
from server_app.run import open_run

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Does the run that the run config describes; an error ends it with its text in the metrics file."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    config = parse_config(context.run_config)
    if not config.run_folder:
        config = config.model_copy(update={"run_folder": default_run_folder(context.run_id)})
    try:
        open_run(config, grid).rounds()
    except Exception as error:
        if not _is_of_another_run(error) and Path(config.run_folder).is_dir():
            with suppress(OSError):  # the disk may be full
                RunFolder(config.run_folder).append_metrics({"scope": "run", "event": "failed", "message": str(error)})
        raise


def _is_of_another_run(error: Exception) -> bool:
    """Whether the folder was refused because it belongs to another run, which is not to be told of this failure."""
    return isinstance(error, ConcordError) and error.code == "C405"
