"""The compose file of this repository as a project of its own, for tests that run it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
UP_SECONDS = 1500


def engine() -> bool:
    """Whether a Docker engine answers."""
    return (
        shutil.which("docker") is not None and not subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    )


class Project:
    """A project of some name.

    Args:
        name: other projects of the same file have other containers, networks and volumes.
        env: what docker-compose.yml takes from the environment.
        options: of `docker compose`, before each command.
    """

    def __init__(self, name: str, env: Mapping[str, str], options: Sequence[str] = ()) -> None:
        self.name = name
        self.env = {**os.environ, **env}
        self.options = ["--project-name", name, "--file", str(ROOT / "docker-compose.yml"), *options]

    def __call__(self, *arguments: str) -> str:
        command = ["docker", "compose", *self.options, *arguments]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=UP_SECONDS, check=False)
        assert not done.returncode, f"{' '.join(arguments)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def containers(self) -> dict[str, dict[str, Any]]:
        """What the engine says of every container, by service."""
        ids = self("ps", "--all", "--quiet").split()
        told = subprocess.run(["docker", "inspect", *ids], capture_output=True, text=True, check=True).stdout
        return {one["Config"]["Labels"]["com.docker.compose.service"]: one for one in json.loads(told)}
