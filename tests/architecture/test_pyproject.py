"""pyproject.toml as Flower reads it, and the run configuration in it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from flwr.common.config import flatten_dict, validate_config

from concord.config import RunConfig, parse_config, toml_table

ROOT = Path(__file__).parents[2]
HINT = "run: sed -i '/^\\[tool.flwr.app.config\\]/,$d' pyproject.toml && python -m concord.config >> pyproject.toml"


def read(text: str) -> dict[str, Any]:
    config: dict[str, Any] = tomllib.loads(text)["tool"]["flwr"]["app"]["config"]
    return config


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def typed(flat: dict[str, Any]) -> dict[str, tuple[type, Any]]:
    return {key: (type(value), value) for key, value in flat.items()}


def test_the_config_in_pyproject_is_every_key_and_default_of_run_config() -> None:
    flat = flatten_dict(read((ROOT / "pyproject.toml").read_text()))
    assert typed(dict(flat)) == typed(dict(RunConfig().flat())), HINT


def test_what_flower_hands_over_is_the_default_run() -> None:
    assert parse_config(flatten_dict(read((ROOT / "pyproject.toml").read_text()))) == RunConfig()


def test_the_config_module_prints_the_table() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "concord.config"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert printed == toml_table(RunConfig())
    assert typed(flatten_dict(read(printed))) == typed(dict(RunConfig().flat()))


def test_any_text_survives_the_table() -> None:
    config = RunConfig(data='a "quoted" \\ path\nline', lr=1e-9)
    assert parse_config(flatten_dict(read(toml_table(config)))) == config


def test_flower_accepts_the_app_and_finds_its_components() -> None:
    config = project()
    is_valid, errors, warnings = validate_config(config, check_module=True, project_dir=ROOT)
    assert (is_valid, errors, warnings) == (True, [], [])
    assert config["tool"]["flwr"]["app"]["components"] == {"serverapp": "server_app.app:app", "clientapp": "client_app.app:app"}
    assert "federations" not in config["tool"]["flwr"]  # `flwr run` would rewrite the file
