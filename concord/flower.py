"""What a simulation and a deployment have in common in their use of Flower: its commands, environment and answers.

Why the status of a run is asked for: ``flwr run --stream`` exits 0 when the run failed. Why the metrics are asked for
the server's error: when two threads of Flower fail together, it tells only of one.
"""

from __future__ import annotations

import json
import os
import re
import sysconfig
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import concord
from concord.config import Scalar
from concord.errors import ConcordError
from concord.run_folder import RunFolder

COMPLETED = "finished:completed"
SCRIPTS = Path(sysconfig.get_path("scripts"))
LOG_LINES = 15
RAY_FOLDER_LENGTH = 38  # Ray puts sockets 68 characters below it, and the path of a socket has at most 107

_DETAILS_PREFIX = "Simulation failed with exception: "
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LOG_LINE = re.compile(r"\n(?:DEBUG|INFO|WARNING|ERROR) +:")
_CAUSE = "The above exception was the direct cause of the following exception:"
_CONCORD_ERROR = re.compile(r"C\d{3} ")


def repository() -> Path:
    """The folder of the Flower app: the repository that this package was installed from."""
    return Path(concord.__file__).resolve().parent.parent


def check_app_folder(folder: Path) -> None:
    """ConcordError C403 when `folder` is not that of a Flower app."""
    try:
        tomllib.loads((folder / "pyproject.toml").read_text())["tool"]["flwr"]["app"]
    except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
        hint = "install Concord from a clone of its repository: `make setup` in the clone"
        raise ConcordError("C403", f"{folder} has no pyproject.toml with [tool.flwr.app]", hint) from error


def environment(home: Path) -> dict[str, str]:
    """The environment of all that is started: Flower sends and installs nothing, a ClientApp has one thread, Ray stays local."""
    ours = {
        "PATH": f"{SCRIPTS}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # no cluster here either: Ray listens on the loopback interface only
        "OMP_NUM_THREADS": "1",
    }
    if len(str(home)) <= RAY_FOLDER_LENGTH:
        ours["RAY_TMPDIR"] = str(home)
    inherited = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    return inherited | ours


def to_toml(flat: Mapping[str, Scalar]) -> str:
    """A TOML document with the dotted keys of a flat configuration."""
    return "".join(f"{key} = {_toml_value(value)}\n" for key, value in flat.items())


def write_connection(home: Path, name: str, settings: Mapping[str, Scalar]) -> None:
    """Tells the ``flwr`` command that uses `home` of a SuperLink."""
    (home / "config.toml").write_text(f"[superlink.{name}]\n{to_toml(settings)}")


def parse_status(listing: Mapping[str, Any]) -> tuple[str, str]:
    """Status and details of the only run in the answer of ``flwr ls --format json``; empty when there is none."""
    runs = listing.get("runs") or [{}]
    return str(runs[0].get("status", "")), str(runs[0].get("status-details", ""))


def told_failures(folder: RunFolder) -> list[str]:
    """Errors of ours that ended the server's work on this run, in order."""
    return [
        str(line["message"]) for line in folder.read_metrics() if line.get("scope") == "run" and line.get("event") == "failed"
    ]


def failure(status: str, details: str, log: str) -> str:
    """What went wrong: the text of the server's ConcordError where it raised one, else the end of its log."""
    details = details.removeprefix(_DETAILS_PREFIX).strip()
    if is_our_error(details):
        return details
    return f"{details or status}\n{last_lines(log)}"


def is_our_error(text: str) -> bool:
    """Whether a text is that of a ConcordError, and not what Flower or Python said."""
    return bool(_CONCORD_ERROR.match(text))


def plain(text: str) -> str:
    """Text of a terminal without its colours."""
    return _COLOUR.sub("", text)


def last_lines(log: str) -> str:
    """The end of the last traceback in a log, that of the cause where there is one; or of the log without any."""
    text, *tracebacks = plain(log).split("Traceback (most recent call last):\n")
    if tracebacks:
        text = tracebacks.pop()
        while tracebacks and tracebacks[-1].rstrip().endswith(_CAUSE):
            text = tracebacks.pop().rstrip().removesuffix(_CAUSE)
        text = _LOG_LINE.split(text)[0]
    return "\n".join(text.strip("\n").split("\n")[-LOG_LINES:])


def _toml_value(value: Scalar) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else repr(value)
