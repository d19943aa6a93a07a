"""The layout of ``runs/<id>/``, and writing to it so that a crash at any moment leaves every file whole.

``metrics.jsonl`` is one JSON object a line, appended by the server while it runs and read by the command line and
the report. Every line has a ``scope``: ``run`` (event, message), ``round``, ``modality``, ``node``, ``weight``,
``rejection``, ``cka``, ``table``, ``moments``, ``grounding`` or ``homophily``; all but ``run`` carry the ``round`` they belong
to. Figures that are not finite are written as ``null``.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import re
import time
import weakref
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from concord.config import RunConfig
from concord.errors import ConcordError

Line = dict[str, Any]
LOCK_SECONDS = 90.0
STALE_SECONDS = 3600.0  # of a file that another process may be writing

_UNFINISHED = re.compile(r"\..+\.\d+")  # the name and the process id, see `atomic_write`


class RunFolder:
    """One run on disk.

    Attributes:
        path: the folder; ``config``, ``metrics``, ``result``, ``report``, ``log`` and ``superlink_log`` are files in it,
            ``checkpoint``, ``model`` and ``nodes`` (private state of simulated nodes) folders.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.config = self.path / "config.json"
        self.metrics = self.path / "metrics.jsonl"
        self.result = self.path / "result.json"
        self.report = self.path / "report.html"
        self.log = self.path / "log.txt"
        self.superlink_log = self.path / "superlink.txt"
        self.checkpoint = self.path / "checkpoint"
        self.model = self.path / "model"
        self.nodes = self.path / "nodes"

    def prepare(self, config: RunConfig) -> None:
        """Makes the folder ready for a run with `config`, and writes the configuration into it.

        Both the command line and the server call this: the second call finds what the first one wrote.

        Raises:
            ConcordError: C405, when the folder cannot be written, or holds the metrics of another run and
                ``config.resume`` is not set.
        """
        if self.metrics.exists() and not config.resume:
            hint = f"continue it with `concord run --resume {self.path}`, or choose another folder"
            raise ConcordError("C405", f"{self.path} already holds a run", hint)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.write_config(config)
        except OSError as error:
            raise ConcordError("C405", f"{self.path}: {error}", "choose a folder that you may write to") from error

    def lock(self, patience: float = LOCK_SECONDS) -> None:
        """Makes the folder if it is missing, and keeps other processes from writing a run into it while this one lives.

        A run that Flower has given up may still have a process, which ends once it notices; so the lock is waited for.

        Raises:
            ConcordError: C405, when another process still holds it after `patience` seconds, or it cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            held = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise ConcordError("C405", f"{self.path}: {error}", "choose a folder that you may write to") from error
        weakref.finalize(self, os.close, held)
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.lockf(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    hint = "wait for the other run to end, or choose another folder"
                    raise ConcordError("C405", f"{self.path}: another process writes a run into it", hint) from error
                time.sleep(0.2)
            else:
                return

    def write_config(self, config: RunConfig) -> None:
        atomic_write(self.config, json.dumps(config.flat(), indent=1) + "\n")

    def read_config(self) -> dict[str, Any]:
        """The flat configuration as it was written, not checked again; ConcordError C405 when there is none."""
        try:
            flat = json.loads(self.config.read_bytes())
        except (OSError, ValueError) as error:
            raise ConcordError("C405", f"{self.config}: {error}", "name the folder of a run") from error
        if not isinstance(flat, dict):
            raise ConcordError("C405", f"{self.config}: not a JSON object", "name the folder of a run")
        return flat

    def append_metrics(self, line: Mapping[str, Any]) -> None:
        """Adds one line. A folder that is resumed is truncated first, so that no line is added to a torn one."""
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(_to_json(line))

    def sync_metrics(self) -> None:
        """Returns once all lines are on the disk; before a checkpoint, so that no round in it lacks its figures."""
        _sync(self.metrics)
        _sync(self.path)

    def remove_unfinished(self) -> None:
        """Removes what killed processes left half-written; after `lock`. Only the server writes checkpoints and the model."""
        remove_unfinished(self.checkpoint)
        remove_unfinished(self.model)
        remove_unfinished(self.path, STALE_SECONDS)

    def read_metrics(self) -> list[Line]:
        """All whole lines; a line that a crash tore is left out, and so is anything that is not an object."""
        try:
            text = self.metrics.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return []
        return list(_parse(text.split("\n")))

    def is_finished(self, rounds: int) -> bool:
        """Whether a run of so many rounds has finished here, so that ``result.json`` holds its figures."""
        try:
            result = json.loads(self.result.read_bytes())
        except (OSError, ValueError):
            return False
        return isinstance(result, dict) and has_finished(self.read_metrics(), rounds, result.get("rounds"))

    def truncate_metrics(self, after_round: int) -> None:
        """Drops, in one step, the lines that were written in rounds later than `after_round`, and a torn last line."""
        kept = (line for line in self.read_metrics() if _written_in(line) <= after_round)
        atomic_write(self.metrics, "".join(map(_to_json, kept)))


def _written_in(line: Line) -> int:
    """The round in which a line was written: of what a node told of the round before, the later one."""
    return int(line.get("told-in") or line.get("round") or 0)


def last_event(lines: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The last line of the whole run: its start, its end or its failure."""
    return next((line for line in reversed(lines) if line.get("scope") == "run"), {})


def has_finished(lines: Sequence[Mapping[str, Any]], rounds: object, rounds_of_result: object) -> bool:
    """Whether a run has finished and its figures are those of all its rounds.

    A finished run may go on with more rounds: then it still has the figures of before, until it finishes again.
    """
    return rounds == rounds_of_result and last_event(lines).get("event") == "finished"


def atomic_write(path: Path, content: bytes | str, mode: int = 0o666) -> None:
    """Replaces the file at `path` (its folder is made if missing): after a crash it is the old one or the new one.

    It is created with `mode` (less the umask), so a secret is never readable by others, not for a moment.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:  # noqa: PTH123 - needs a mode
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync(path.parent)


def remove_unfinished(folder: Path, older_than: float = 0.0) -> None:
    """Removes what `atomic_write` left in a folder when its process was killed; files younger than `older_than` seconds stay.

    Zero is for a folder that nobody else writes to: then nothing unfinished is in the making.
    """
    for file in folder.glob(".*"):
        with suppress(OSError):  # gone, or replaced, in the meantime
            if _UNFINISHED.fullmatch(file.name) and time.time() - file.stat().st_mtime >= older_than:
                file.unlink()


def _sync(path: Path) -> None:
    """Returns once a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _to_json(line: Mapping[str, Any]) -> str:
    return json.dumps(_finite(line), allow_nan=False, separators=(",", ":")) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _parse(lines: Iterable[str]) -> Iterable[Line]:
    for text in lines:
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict):
            yield line
