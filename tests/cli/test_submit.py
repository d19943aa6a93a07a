"""Submitting to a SuperLink: what is asked of it, what is made of its answers, and when a run is submitted again.

The `flwr` command is a script that plays a SuperLink by a plot; a real one is in tests/deploy.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from concord import deployment
from concord.commands import submit as command
from concord.config import RunConfig
from concord.deployment import SuperLink, follow, public_keys, wait_for_others
from concord.errors import ConcordError
from concord.flower import repository
from concord.run_folder import RunFolder

FLWR = """#!{python}
import json, pathlib, sys
here = pathlib.Path(__file__).parent
calls = here / "calls.jsonl"
earlier = calls.read_text().splitlines() if calls.exists() else []
said = sys.argv[1:]
runs = sum(json.loads(line)[0] == "run" for line in earlier)
if said[0] == "run":
    told = pathlib.Path(said[said.index("--run-config") + 1]).read_text()
    said.append(told)
with calls.open("a") as file:
    file.write(json.dumps(said) + "\\n")
plot = json.loads((here / "plot.json").read_text())


def fail(why):  # as Flower 1.34 does: exit status 0
    print(json.dumps({{"success": False, "error-message": f"Using SuperLink: federation (superlink:9093)\\n\\x1b[31m{{why}}"}}))
    sys.exit(0)


if len([line for line in earlier if json.loads(line)[0] == said[0]]) < plot.get("away", {{}}).get(said[0], 0):
    fail("Connection to the SuperLink is unavailable. Please check your network")
if said[0] == "run" and plot.get("refused"):
    fail(plot["refused"])
if said[0] == "run":
    print(json.dumps({{"success": True, "run-id": str(runs + 1)}}))
elif said[0] == "ls" and "--run-id" not in said:
    if len(earlier) < plot.get("silent", 0):
        fail("Connection to the SuperLink is unavailable.")
    known = [{{"run-id": str(i), "status": status}} for i, status in enumerate(plot.get("known", []), 1)]
    print(json.dumps({{"success": True, "runs": known[::-1]}}))
elif said[0] == "ls":
    status = plot["ends"][int(said[said.index("--run-id") + 1]) - 1]
    if status is None:
        fail("Connection to the SuperLink is unavailable.")
    if not status:
        fail("[code: 16] Run ID not found.")
    print(json.dumps({{"success": True, "runs": [{{"status": status, "status-details": plot.get("because", "because")}}]}}))
elif said[0] == "supernode":
    if plot.get("refuses"):
        fail(plot["refuses"])
    print(json.dumps({{"success": True, "node-id": 1}}))
elif said[0] == "log":
    print("INFO: last words")
"""

Plot = Callable[..., None]


@pytest.fixture
def plot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plot:
    """Says how the SuperLink behaves."""
    (tmp_path / "flwr").write_text(FLWR.format(python=sys.executable))
    (tmp_path / "flwr").chmod(0o755)
    monkeypatch.setattr(deployment, "SCRIPTS", tmp_path)
    monkeypatch.setattr(deployment, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(deployment, "PATIENCE_SECONDS", 1.0)

    def write(**told: object) -> None:
        (tmp_path / "plot.json").write_text(json.dumps(told))

    return write


@pytest.fixture
def superlink(tmp_path: Path) -> SuperLink:
    (tmp_path / "ca.crt").touch()
    (tmp_path / "home").mkdir()
    return SuperLink("superlink:9093", tmp_path / "ca.crt", tmp_path / "home")


def calls(folder: Path, first: str) -> list[list[str]]:
    lines = [json.loads(line) for line in (folder / "calls.jsonl").read_text().splitlines()]
    return [line for line in lines if line[0] == first]


def config(folder: Path) -> RunConfig:
    return RunConfig(run_folder=str(folder / "run"))


def test_a_superlink_that_starts_late_is_waited_for(plot: Plot, superlink: SuperLink, tmp_path: Path) -> None:
    plot(silent=3)
    superlink.connect(patience=30)
    told = (tmp_path / "home" / "config.toml").read_text()
    assert 'address = "superlink:9093"' in told
    assert f'root-certificates = "{tmp_path}/ca.crt"' in told
    assert "insecure" not in told


def test_a_silent_superlink_is_told_with_its_address(plot: Plot, superlink: SuperLink) -> None:
    plot(silent=10**6)
    with pytest.raises(ConcordError, match=r"C602 .*superlink:9093: Connection to the SuperLink is unavailable"):
        superlink.connect(patience=0)


def test_a_missing_certificate_is_told_before_anything_is_asked(plot: Plot, tmp_path: Path) -> None:
    plot()
    with pytest.raises(ConcordError, match=r"C601 .*nowhere\.crt is missing"):
        SuperLink("superlink:9093", tmp_path / "nowhere.crt", tmp_path).connect()
    assert not (tmp_path / "calls.jsonl").exists()


def test_keys_are_registered_once_and_bad_ones_are_told(plot: Plot, superlink: SuperLink, tmp_path: Path) -> None:
    plot()
    assert superlink.register(tmp_path / "node.pub")
    plot(refuses="[code: 23] Public key already in use.")
    assert not superlink.register(tmp_path / "node.pub")
    plot(refuses="not a key")
    with pytest.raises(ConcordError, match=r"C603 .*node\.pub: not a key"):
        superlink.register(tmp_path / "node.pub")


def test_public_keys_are_found_in_folders(tmp_path: Path) -> None:
    for path in ("a.pub", "ward-3/node.pub", "ward-3/node.key"):
        (tmp_path / "pubs" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pubs" / path).touch()
    names = [path.name for path in public_keys([tmp_path / "pubs", tmp_path / "pubs" / "a.pub"])]
    assert names == ["a.pub", "node.pub", "a.pub"]
    with pytest.raises(ConcordError, match=r"C603 .*no public key"):
        public_keys([tmp_path / "nowhere"])


def test_a_run_that_completes_is_submitted_once(plot: Plot, superlink: SuperLink, tmp_path: Path) -> None:
    plot(ends=["finished:completed"])
    follow(superlink, repository(), config(tmp_path))
    ((*_, told),) = calls(tmp_path, "run")
    assert f'run-folder = "{tmp_path}/run"' in told
    assert "resume = false" in told


@pytest.mark.parametrize("cut", ["finished:failed", ""], ids=["failed", "forgotten"])
def test_a_run_that_was_cut_off_goes_on(cut: str, plot: Plot, superlink: SuperLink, tmp_path: Path) -> None:
    plot(ends=[cut, cut, "finished:completed"])
    follow(superlink, repository(), config(tmp_path))
    assert ["resume = true" in said[-1] for said in calls(tmp_path, "run")] == [False, True, True]


@pytest.mark.parametrize(
    ("because", "submissions"), [("Connection lost", 2), ("C401 too few nodes: one of two\n  What to do: start more", 1)]
)
def test_only_an_error_of_ours_ends_the_attempts(
    because: str, submissions: int, plot: Plot, superlink: SuperLink, tmp_path: Path
) -> None:
    plot(ends=["finished:failed"] * 2, because=because)
    with pytest.raises(ConcordError, match="C404"):
        follow(superlink, repository(), config(tmp_path), attempts=2)
    assert len(calls(tmp_path, "run")) == submissions


def test_a_run_that_is_cut_off_again_and_again_is_given_up(plot: Plot, superlink: SuperLink, tmp_path: Path) -> None:
    plot(ends=["finished:failed"] * 3)
    with pytest.raises(ConcordError, match=r"(?s)C404 .*last words"):
        follow(superlink, repository(), config(tmp_path), attempts=3)
    assert len(calls(tmp_path, "run")) == 3


def test_a_run_that_failed_by_its_own_fault_is_not_tried_again(plot: Plot, superlink: SuperLink, tmp_path: Path) -> None:
    plot(ends=["finished:failed", "finished:completed"])
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()

    def fail() -> None:
        if not folder.metrics.exists():
            folder.append_metrics({"scope": "run", "event": "failed", "message": "C401 too few nodes: why"})

    with pytest.raises(ConcordError, match=r"C404 .*C401 too few nodes"):
        follow(superlink, repository(), config(tmp_path), fail)
    assert len(calls(tmp_path, "run")) == 1


def whole_submission(superlink: SuperLink, folder: Path) -> None:
    superlink.register(folder / "node.pub")
    wait_for_others(superlink)
    follow(superlink, repository(), config(folder))


@pytest.mark.parametrize("call", ["run", "ls", "supernode"])
def test_each_call_is_made_again_while_the_superlink_is_away(
    call: str, plot: Plot, superlink: SuperLink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployment, "PATIENCE_SECONDS", 60.0)
    plot(ends=["", "", "finished:completed"], away={call: 2})
    whole_submission(superlink, tmp_path)
    assert len(calls(tmp_path, call)) >= 3
    assert "resume = true" in calls(tmp_path, "run")[-1][-1] or call != "run", "the first may have been taken"


@pytest.mark.parametrize("call", ["run", "ls", "supernode"])
def test_a_superlink_that_stays_away_is_told_as_such(call: str, plot: Plot, superlink: SuperLink, tmp_path: Path) -> None:
    plot(ends=["finished:completed"], away={call: 10**6})
    with pytest.raises(ConcordError, match=r"C602 .*is unavailable"):
        whole_submission(superlink, tmp_path)


def test_a_run_that_is_refused_is_not_submitted_again(plot: Plot, superlink: SuperLink, tmp_path: Path) -> None:
    plot(refused="[code: 15] unknown key")
    with pytest.raises(ConcordError, match=r"C602 .*unknown key"):
        follow(superlink, repository(), config(tmp_path))
    assert len(calls(tmp_path, "run")) == 1


def test_runs_that_were_submitted_before_are_waited_for(plot: Plot, superlink: SuperLink, tmp_path: Path) -> None:
    plot(known=["finished:completed", "running", "pending"], ends=["", "finished:failed", "finished:completed"])
    wait_for_others(superlink)
    assert [said[said.index("--run-id") + 1] for said in calls(tmp_path, "ls") if "--run-id" in said] == ["2", "3"]


def test_a_run_that_somebody_stopped_stays_stopped(plot: Plot, superlink: SuperLink, tmp_path: Path) -> None:
    plot(ends=["finished:stopped", "finished:completed"])
    with pytest.raises(ConcordError, match="C404"):
        follow(superlink, repository(), config(tmp_path))
    assert len(calls(tmp_path, "run")) == 1


def test_a_superlink_that_stays_away_ends_the_wait(plot: Plot, superlink: SuperLink, tmp_path: Path) -> None:
    plot(ends=[None])
    with pytest.raises(ConcordError, match=r"C602 .*was silent"):
        follow(superlink, repository(), config(tmp_path))


def test_a_submission_that_is_done_is_only_shown(plot: Plot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plot(ends=["finished:completed"] * 2)
    run, shown = tmp_path / "run", []
    monkeypatch.setattr(command, "_show", lambda folder, console: shown.append(folder.path))
    (tmp_path / "node.pub").touch()

    def submit(**options: int) -> None:
        console = Console(quiet=True)
        command.submit("superlink:9093", None, [tmp_path / "node.pub"], options, [], run, console, quiet=True)

    submit(seed=3)
    ((*_, told),) = calls(tmp_path, "run")
    assert "share-test-embeddings = false" in told, "embeddings of samples leave no node unless somebody says so"
    flat = {**RunConfig(seed=3, run_folder=str(run)).flat(), "resume": True}
    RunFolder(run).path.mkdir()
    RunFolder(run).config.write_text(json.dumps(flat))
    RunFolder(run).result.write_text(json.dumps({"rounds": flat["rounds"]}))
    RunFolder(run).append_metrics({"scope": "run", "event": "finished"})
    submit(seed=3)
    assert len(calls(tmp_path, "run")) == 1
    submit(seed=4)  # the server refuses it
    assert len(calls(tmp_path, "run")) == 2
    assert shown == [run, run, run]


def test_a_finished_run_that_was_cut_off_on_more_rounds_is_not_done(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    longer = RunConfig(rounds=4, resume=True, run_folder=str(tmp_path))
    folder.write_config(longer)  # as the server does first
    folder.result.write_text('{"rounds": 2}')
    folder.append_metrics({"scope": "run", "event": "finished"})
    assert not command._is_done(folder, longer)
    folder.result.write_text('{"rounds": 4}')
    assert command._is_done(folder, longer)
    folder.append_metrics({"scope": "run", "event": "started"})
    assert not command._is_done(folder, longer)
