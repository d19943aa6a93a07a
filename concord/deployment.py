"""A run on real machines: nodes are registered, the app is handed to a SuperLink, and the run is followed to its end.

Whatever dies on the way is started again by its own machine's restart policy. What no restart policy can mend is that
Flower ends a run whose ServerApp process or SuperLink was gone for long: such a run is submitted again, and goes on
after its last finished round (the server finds the checkpoint in the run folder).
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from concord.config import RunConfig, Scalar
from concord.errors import ConcordError
from concord.flower import (
    COMPLETED,
    SCRIPTS,
    check_app_folder,
    environment,
    failure,
    is_our_error,
    parse_status,
    plain,
    to_toml,
    told_failures,
    write_connection,
)
from concord.run_folder import RunFolder

CONNECTION = "federation"
POLL_SECONDS = 2.0
CALL_SECONDS = 60.0
ATTEMPTS = 20
PATIENCE_SECONDS = 600.0  # a SuperLink may be away for so long
AWAY = "Connection to the SuperLink is unavailable"  # what Flower says when nobody answers
LATE = f"no answer within {CALL_SECONDS:.0f} s"
ALREADY = "already in use"  # what Flower says of a public key that is registered
UNKNOWN_RUN = "Run ID not found"

_FRAME = " │╭╮╰╯─\t"
_ECHO = ("Using SuperLink:", "Displaying information")


@dataclass(frozen=True)
class Answer:
    """What the ``flwr`` command answered: whether it did what it was asked, its JSON, and its last words."""

    success: bool
    told: Mapping[str, Any]
    said: str

    @property
    def away(self) -> bool:
        """Whether nobody answered; a refusal is an answer."""
        return not self.success and (AWAY in self.said or LATE in self.said)


class AwayError(ConcordError):
    """C602 for a call that nobody answered, which another try may mend."""


@dataclass(frozen=True)
class SuperLink:
    """The Control API of a SuperLink, through the ``flwr`` command.

    Attributes:
        address: host and port of its Control API.
        root_certificates: file with the certificate of the federation's CA; None without TLS, on this machine only.
        home: folder for Flower's own files.
    """

    address: str
    root_certificates: Path | None
    home: Path

    def connect(self, patience: float = PATIENCE_SECONDS) -> None:
        """Waits until the SuperLink answers; ConcordError C602 when it does not within `patience` seconds."""
        tls: dict[str, Scalar] = {"insecure": True}
        if self.root_certificates is not None:
            if not self.root_certificates.is_file():
                hint = "name the federation's ca.crt (`concord keys ca`) with --ca-certificate"
                raise ConcordError("C601", f"{self.root_certificates} is missing", hint)
            tls = {"root-certificates": str(self.root_certificates.resolve())}
        write_connection(self.home, CONNECTION, {"address": self.address, **tls})
        deadline = time.monotonic() + patience
        while not (answer := self._ask("ls", CONNECTION)).success:
            if time.monotonic() > deadline:
                raise self._silent(answer)
            time.sleep(POLL_SECONDS)

    def register(self, public_key: Path) -> bool:
        """Lets the node with this key in; False, if it was registered before (also one that was revoked since).

        Raises:
            ConcordError: C603 when the SuperLink refuses the key, C602 when it was away too long.
        """
        answer = self._ask_patiently("supernode", "register", str(public_key), CONNECTION)
        if answer.success:
            return True
        if ALREADY in answer.said:
            return False
        if answer.away:
            raise self._silent(answer)
        raise ConcordError("C603", f"{public_key}: {answer.said}", "send the node.pub that `concord keys node` made, unchanged")

    def submit(self, app_folder: Path, run_config: Mapping[str, Scalar]) -> str:
        """Hands over an app with a flat run config; the id of Flower's run. See `submit_patiently`.

        Raises:
            ConcordError: C602 when it is not taken; `AwayError` when nobody answered, and it may have been taken or not.
        """
        overrides = self.home / "run.toml"
        overrides.write_text(to_toml(run_config))
        answer = self._ask("run", str(app_folder), CONNECTION, "--run-config", str(overrides))
        if not answer.success or "run-id" not in answer.told:
            raise self._silent(answer)
        return str(answer.told["run-id"])

    def status(self, run_id: str) -> tuple[str, str] | None:
        """Status and details of a run, empty for a run that it does not know; None when the SuperLink does not answer."""
        answer = self._ask("ls", CONNECTION, "--run-id", run_id)
        if not answer.success and UNKNOWN_RUN not in answer.said:
            return None
        return parse_status(answer.told)

    def unfinished(self) -> list[str]:
        """Ids of the runs that the SuperLink has not seen the end of, oldest first.

        Raises:
            ConcordError: C602 when the SuperLink was away too long.
        """
        answer = self._ask_patiently("ls", CONNECTION)
        if not answer.success:
            raise self._silent(answer)
        runs = answer.told.get("runs", [])
        return [str(run["run-id"]) for run in reversed(runs) if not str(run["status"]).startswith("finished")]

    def log(self, run_id: str) -> str:
        """What the ServerApp wrote so far."""
        return self._flwr("log", run_id, CONNECTION, "--show").stdout.decode(errors="replace")

    def _ask_patiently(self, *arguments: str) -> Answer:
        """An answer that is waited for while the SuperLink is away; only for calls that may be made twice."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (answer := self._ask(*arguments)).away and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return answer

    def _ask(self, *arguments: str) -> Answer:
        return read_answer(self._flwr(*arguments, "--format", "json"))

    def _flwr(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = [str(SCRIPTS / "flwr"), *arguments]
        try:
            return subprocess.run(command, env=environment(self.home), capture_output=True, timeout=CALL_SECONDS, check=False)  # noqa: S603
        except subprocess.TimeoutExpired as late:
            return subprocess.CompletedProcess(command, 1, late.stdout or b"", LATE.encode())

    def _silent(self, answer: Answer) -> ConcordError:
        hint = "check address, port 9093 and --ca-certificate; the certificate must name the host by which it is called"
        kind = AwayError if answer.away else ConcordError
        return kind("C602", f"{self.address}: {answer.said}", hint)


def follow(
    superlink: SuperLink,
    app_folder: Path,
    config: RunConfig,
    on_wait: Callable[[], None] = lambda: None,
    attempts: int = ATTEMPTS,
) -> None:
    """Submits a run and waits for its end; one that was cut off is submitted again and goes on.

    Args:
        superlink: after `SuperLink.connect`.
        app_folder: the folder with the pyproject.toml of the Flower app.
        config: ``run_folder`` is the path on the ServerApp's machine; where it is on this machine too, its metrics tell
            a run that failed by its own fault, which is not tried again.
        on_wait: called about every two seconds.
        attempts: how often a run is submitted at most.

    Raises:
        ConcordError: C404 when the run failed, C602 when the SuperLink was away too long.
    """
    check_app_folder(app_folder)
    folder = RunFolder(config.run_folder)
    said = ""
    for _ in range(attempts):
        failures = len(told_failures(folder))
        run_id = submit_patiently(superlink, app_folder, config, on_wait)
        status, details = wait_for_end(superlink, run_id, on_wait)
        on_wait()
        if status == COMPLETED:
            return
        told = told_failures(folder)[failures:]
        said = told[-1] if told else failure(status or "the SuperLink has forgotten the run", details, superlink.log(run_id))
        if told or status == "finished:stopped" or is_our_error(said):
            break
        config = config.model_copy(update={"resume": True})
    raise ConcordError("C404", said, "mend the cause; the same command goes on after the last finished round")


def submit_patiently(superlink: SuperLink, app_folder: Path, config: RunConfig, on_wait: Callable[[], None]) -> str:
    """Submits a run, again and again while the SuperLink is away; the id of Flower's run.

    A call without an answer may have been taken all the same. So the end of what the SuperLink knows of is waited for before
    the next one, which then goes on where the first one came to.

    Raises:
        ConcordError: C602 when the SuperLink was away too long, or did not take the run.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return superlink.submit(app_folder, config.flat())
        except AwayError:
            if time.monotonic() > deadline:
                raise
        config = config.model_copy(update={"resume": True})
        on_wait()
        time.sleep(POLL_SECONDS)
        wait_for_others(superlink, on_wait)


def wait_for_others(superlink: SuperLink, on_wait: Callable[[], None] = lambda: None) -> None:
    """Waits for runs that were submitted before: theirs are the nodes, and one may be the very run that is to go on."""
    for run_id in superlink.unfinished():
        wait_for_end(superlink, run_id, on_wait)


def wait_for_end(superlink: SuperLink, run_id: str, on_wait: Callable[[], None] = lambda: None) -> tuple[str, str]:
    """Status and details of a run, once it has ended; empty for one that the SuperLink has forgotten.

    Raises:
        ConcordError: C602 when the SuperLink was away too long.
    """
    heard = time.monotonic()
    while True:
        found = superlink.status(run_id)
        if found is not None:
            heard = time.monotonic()
            if not found[0] or found[0].startswith("finished"):
                return found
        elif time.monotonic() - heard > PATIENCE_SECONDS:
            hint = "start it again; the same command goes on after the last finished round"
            raise ConcordError("C602", f"{superlink.address} was silent for {PATIENCE_SECONDS:.0f} s", hint)
        on_wait()
        time.sleep(POLL_SECONDS)


def read_answer(done: subprocess.CompletedProcess[bytes]) -> Answer:
    """What a command with ``--format json`` answered: it exits with 0 on most errors, and tells them in its JSON."""
    told: dict[str, Any] = {}
    with suppress(ValueError):
        told = dict(json.loads(done.stdout))
    text = str(told.get("error-message") or (done.stderr + b"\n" + done.stdout).decode(errors="replace"))
    words = [line.strip(_FRAME) for line in plain(text).splitlines()]
    said = " ".join(word for word in words if word and not word.startswith(_ECHO))[-400:]
    return Answer(not done.returncode and bool(told.get("success")), told, said or f"exit status {done.returncode}")


def public_keys(paths: Sequence[Path]) -> list[Path]:
    """Public keys of nodes: files, or every ``*.pub`` in and one level below a folder; ConcordError C603 for a path without."""
    found: list[Path] = []
    for path in paths:
        keys = sorted([*path.glob("*.pub"), *path.glob("*/*.pub")]) if path.is_dir() else [path] * path.is_file()
        if not keys:
            raise ConcordError("C603", f"{path} holds no public key of a node", "name node.pub files, or the folder they are in")
        found += keys
    return found
