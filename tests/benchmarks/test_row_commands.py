"""The commands on pages of results: what they set is what the sweep has set."""

from __future__ import annotations

import re
import shlex

import pytest

from benchmarks.__main__ import COMPARISONS
from benchmarks.commands import commands_section
from benchmarks.emoji.cases import CONTRASTIVE
from benchmarks.sweep import Case, Row
from concord.commands.run import new_settings
from concord.config import RunConfig, parse_config


def config_of(words: list[str]) -> RunConfig:
    """The configuration of `concord run` with these options."""
    pairs = [*zip(words[::2], words[1::2], strict=True)]
    settings = [value for key, value in pairs if key == "--set"]
    options = {key.removeprefix("--"): int(value) if key == "--seed" else value for key, value in pairs if key != "--set"}
    return parse_config({"share-test-embeddings": True, **new_settings(options, settings)}).model_copy(update={"data": "DIR"})


@pytest.mark.parametrize("suite", COMPARISONS)
def test_a_command_sets_what_the_sweep_has_set(suite: str) -> None:
    cases = [*COMPARISONS[suite].cases()]
    section = commands_section(cases)
    (command,) = re.findall(r"`concord run (.*?)`", section)
    rows = dict(re.findall(r"^\| (.*?) \| `(--method .*?)` \|$", section, re.MULTILINE))
    assert set(rows) == {case.row.name for case in cases if case.row.method != CONTRASTIVE}
    for case in cases:
        if case.row.name in rows:
            words = f"{command} {rows[case.row.name]}".replace("SCENARIO", case.scenario).replace("SEED", str(case.seed))
            swept = {"method": case.row.method, "suite": case.suite, "scenario": case.scenario, "data": "DIR", "seed": case.seed}
            assert config_of(shlex.split(words)) == parse_config({**swept, **case.common, **case.row.settings})


def test_settings_of_all_rows_stand_in_the_command() -> None:
    rows = Row("one", "local", {"lr": 0.5, "resume": True}), Row("other", "fedavg", {"lr": 0.5, "rounds": 3})
    section = commands_section(Case("demo", row, "labelled", 0, {"local-steps": 7}) for row in rows)
    assert "--seed SEED --set local-steps=7 --set lr=0.5 --set share-test-embeddings=false`" in section
    assert "Scenarios: `labelled`." in section
    assert "| one | `--method local --set resume=true` |\n| other | `--method fedavg --set rounds=3` |" in section


def test_a_name_stands_for_one_row() -> None:
    rows = Row("one", "local"), Row("one", "fedavg")
    with pytest.raises(ValueError, match="two rows are called 'one'"):
        commands_section(Case("demo", row, "labelled", 0) for row in rows)
