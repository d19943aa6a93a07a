"""The command line: settings, exit codes, and what it prints; training itself is replaced."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Outcome, caller
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from concord import cli
from concord.commands import run as run_command
from concord.commands import submit as submit_command
from concord.commands.run import new_settings, parse_scalar, parse_setting, resumed_settings, shown
from concord.commands.tables import config_fields, type_of
from concord.config import RunConfig, parse_config
from concord.errors import ConcordError
from concord.run_folder import RunFolder
from server_app.checkpoint import FILE as CHECKPOINT
from server_app.results import Accuracy, Bytes, Result, Seconds, save_result

RESULT = Result(
    method="geolora",
    suite="demo",
    scenario="labelled",
    seed=0,
    rounds=10,
    anchors="abc",
    accuracy={"random": {"image": Accuracy(accuracy=0.9, examples=10)}, "unseen": {"word": Accuracy(accuracy=0.5, examples=4)}},
    bytes=Bytes(up_per_node_round=1.0, down_per_node_round=1.0, up_total=3_000_000, down_total=5_000_000),
    seconds=Seconds(total=61.0, per_round=6.0),
)


@pytest.fixture
def concord(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    return caller(monkeypatch, capsys, columns=120)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[RunConfig, int]]:
    """What the simulation was asked to do; it leaves a result at once."""
    asked: list[tuple[RunConfig, int]] = []

    def train(config: RunConfig, app_folder: Path, nodes: int, on_wait: Callable[[], None]) -> None:
        on_wait()
        asked.append((config, nodes))
        save_result(Path(config.run_folder), RESULT)

    monkeypatch.setattr(run_command, "run_simulation", train)
    monkeypatch.setattr(run_command, "check_app_folder", lambda folder: None)
    return asked


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-1", -1),
        ("1e-3", 1e-3),
        ("true", True),
        ("False", "False"),
        ("dora", "dora"),
        ('"3"', "3"),
        ("", ""),
        ("speech=4,word=2", "speech=4,word=2"),
        ("unlabelled=speech", "unlabelled=speech"),
        ("[1, 2]", "[1, 2]"),
        ("2024-01-01", "2024-01-01"),
        ("1\nother = 2", "1\nother = 2"),
        ("3 # three", 3),
    ],
)
def test_values_are_toml_or_text(text: str, value: object) -> None:
    assert parse_scalar(text) == value
    assert type(parse_scalar(text)) is type(value)


@given(st.text())
def test_any_text_is_a_value(text: str) -> None:
    assert isinstance(parse_scalar(text), str | int | float | bool)


def test_settings_split_at_the_first_equals_sign() -> None:
    assert parse_setting(" adapter.rank-by-modality = speech=4 ") == ("adapter.rank-by-modality", "speech=4")
    for text in ("rounds", "=3", ""):
        with pytest.raises(ConcordError, match="C102"):
            parse_setting(text)


def test_settings_of_a_new_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    flat = new_settings({"method": "fedavg", "data": "packs", "seed": None}, ["rounds=3", "method=local"])
    assert flat == {"method": "local", "data": str(tmp_path / "packs"), "rounds": 3}


def test_settings_of_a_run_that_goes_on() -> None:
    flat = RunConfig(seed=4).flat()
    assert parse_config(resumed_settings(flat, ["rounds=20"])) == RunConfig(seed=4, rounds=20, resume=True)
    with pytest.raises(ConcordError, match="another lr"):
        resumed_settings(flat, ["rounds=20", "lr=1.0"])


def test_a_run_prints_figures_and_the_report(
    concord: Callable[..., Outcome], trained: list[tuple[RunConfig, int]], tmp_path: Path
) -> None:
    out_folder = tmp_path / "run"
    status, out, _ = concord("run", "--out", str(out_folder), "--set", "rounds=3", "--seed", "5")
    ((config, nodes),) = trained
    assert status == 0
    assert (config.rounds, config.seed, config.share_test_embeddings) == (3, 5, True)
    assert (config.run_folder, config.suite, config.resume) == (str(out_folder), "demo", False)
    assert nodes > 1
    for part in ("image", "0.900", "word", "0.500", "up 3.0 MB", "down 5.0 MB", "61 s", str(out_folder / "report.html")):
        assert part in out
    assert parse_config(RunFolder(out_folder).read_config()) == config


def test_a_pooled_method_has_one_node(
    concord: Callable[..., Outcome], trained: list[tuple[RunConfig, int]], tmp_path: Path
) -> None:
    assert concord("run", "--method", "centralised", "--out", str(tmp_path / "run"), "--quiet")[0] == 0
    assert trained[0][1] == 1


def test_resume(concord: Callable[..., Outcome], trained: list[tuple[RunConfig, int]], tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.prepare(RunConfig(seed=7, run_folder="/somewhere/else"))
    folder.append_metrics({"scope": "run", "event": "started"})
    status, _, err = concord("run", "--resume", str(folder.path))
    assert (status, trained) == (2, [])
    assert "C402" in err
    folder.checkpoint.mkdir()
    (folder.checkpoint / CHECKPOINT).touch()
    assert concord("run", "--resume", str(folder.path), "--set", "rounds=20")[0] == 0
    ((config, _),) = trained
    assert config == RunConfig(seed=7, rounds=20, resume=True, run_folder=str(folder.path))


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--set", "adapter.rnk=3"], "C101"),
        (["--set", "rounds=ten"], "C102"),
        (["--set", "rounds"], "C102"),
        (["--set", "device=gpu"], "C102"),
        (["--set", "device=cuda:99"], "C103"),
        (["--set", "adapter.targets=quary"], "C103"),
        (["--set", "model.attention-heads=3"], "C103"),
        (["--method", "fedmchain", "--set", "model.head=shared"], "C103"),
        (["--set", "lr=inf"], "C102"),
        (["--set", "geolora.cka-weight=nan"], "C102"),
        (["--method", "nope"], "C103"),
        (["--suite", "digits"], "C201"),
        (["--suite", "nope"], "C204"),
        (["--scenario", "nope"], "C204"),
        (["--set", "anchors=nope"], "C301"),
        (["--set", "min-nodes=1000"], "C401"),
        (["--resume", "nope"], "C405"),
        (["--resume", "nope", "--seed", "1"], "C402"),
        (["--resume", "nope", "--out", "other"], "C402"),
    ],
)
def test_mistakes_are_found_before_anything_starts(
    concord: Callable[..., Outcome],
    trained: list[tuple[RunConfig, int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    status, _, err = concord("run", *arguments)
    assert status == 2
    assert err.startswith(code)
    assert "What to do: " in err
    assert trained == []
    assert list(tmp_path.iterdir()) == []


def test_another_run_is_not_overwritten(
    concord: Callable[..., Outcome], trained: list[tuple[RunConfig, int]], tmp_path: Path
) -> None:
    RunFolder(tmp_path).append_metrics({"scope": "run", "event": "started"})
    status, _, err = concord("run", "--out", str(tmp_path))
    assert status == 2
    assert "C405" in err
    assert trained == []


def test_a_run_that_fails_exits_with_1(
    concord: Callable[..., Outcome], trained: list[tuple[RunConfig, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ConcordError("C404", "[bold]the cause[/bold]", "the cure")

    monkeypatch.setattr(run_command, "run_simulation", fail)
    status, _, err = concord("run", "--out", str(tmp_path / "run"))
    assert status == 1
    assert err == "C404 the run failed: [bold]the cause[/bold]\n  What to do: the cure\n"


@pytest.mark.parametrize(("code", "expected"), [("C404", 1), ("C602", 1), ("C601", 2), ("C603", 2), ("C102", 2)])
def test_a_submission_exits_with_2_for_a_mistake_alone(
    code: str, expected: int, concord: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ConcordError(code, "the cause", "the cure")

    monkeypatch.setattr(submit_command, "submit", fail)
    assert concord("submit", str(tmp_path / "run"), "--insecure")[0] == expected


def test_ctrl_c_exits_with_130(
    concord: Callable[..., Outcome], trained: list[tuple[RunConfig, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_command, "run_simulation", interrupt)
    assert concord("run", "--out", str(tmp_path / "run"))[0] == 130


def test_data_list_and_methods(concord: Callable[..., Outcome]) -> None:
    status, out, _ = concord("data", "list")
    assert status == 0
    assert "demo" in out
    assert "digits" in out
    status, out, _ = concord("methods")
    assert status == 0
    assert "geolora" in out


def test_data_check(concord: Callable[..., Outcome], tmp_path: Path) -> None:
    assert concord("data", "check")[:2] == (0, "demo: 0 errors, 0 notes\n")
    status, out, _ = concord("data", "check", "digits", "--data", str(tmp_path))
    assert status == 1
    assert out.startswith("error ")
    assert "What to do: " in out
    status, _, err = concord("data", "check", "nope")
    assert status == 2
    assert "'nope' is neither a suite with files nor a folder" in err


def test_config_lists_every_key(concord: Callable[..., Outcome]) -> None:
    status, out, _ = concord("config")
    assert status == 0
    assert all(key in out for key in RunConfig().flat())


def test_types_for_people() -> None:
    types = {key: type_of(field) for key, field in config_fields(RunConfig)}
    assert types["rounds"] == "int >= 1"
    assert types["aggregation.max-share"] == "float > 0, <= 1"
    assert types["adapter.kind"] == "auto | dora | lora | full"
    assert types["resume"] == "bool"
    assert types["graph.dropout"] == "float >= 0, < 1"
    assert types["overlay.degree"] == "int >= 2, multiple of 2"
    assert list(types) == list(RunConfig().flat())


def test_report(concord: Callable[..., Outcome], tmp_path: Path) -> None:
    assert concord("report", str(tmp_path))[0] == 2
    RunFolder(tmp_path).prepare(RunConfig())
    status, out, _ = concord("report", str(tmp_path))
    assert status == 0
    assert (tmp_path / "report.html").exists()
    assert "report.html" in out


def test_usage_errors_exit_with_2() -> None:
    runner = CliRunner()
    assert runner.invoke(cli.app, ["run", "--nope"]).exit_code == 2
    assert runner.invoke(cli.app, ["nope"]).exit_code == 2
    assert "Usage" in runner.invoke(cli.app, ["run", "--help"]).output


def test_help_loads_nothing_heavy() -> None:
    code = """
import sys
sys.argv = ["concord", "--help"]
from concord.cli import main
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "flwr", "pydantic", "numpy"} & set(done.stderr.split())


def test_settings_are_kept_as_json(tmp_path: Path) -> None:
    RunFolder(tmp_path).prepare(RunConfig())
    assert json.loads((tmp_path / "config.json").read_text()) == RunConfig().flat()


def test_paths_are_named_from_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert shown(tmp_path / "runs" / "report.html") == Path("runs/report.html")
    assert shown(Path("/elsewhere/report.html")) == Path("/elsewhere/report.html")
