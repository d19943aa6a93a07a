"""docs/errors.md has one section an error code, and pyproject.toml every key of the run configuration."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from concord.config import RunConfig
from concord.errors import TITLES

ROOT = Path(__file__).parents[2]


def test_every_error_has_its_section() -> None:
    page = (ROOT / "docs" / "errors.md").read_text()
    assert re.findall(r"^## (C\d+) (.+)$", page, re.MULTILINE) == list(TITLES.items())


def test_every_section_has_an_example_of_its_own_error() -> None:
    page = (ROOT / "docs" / "errors.md").read_text()
    for section in page.split("\n## ")[1:]:
        code, title = section.split("\n", 1)[0].split(" ", 1)
        assert f"\n{code} {title}: " in section
        assert "What to do: " in section


def test_pyproject_has_the_defaults_of_the_run_config() -> None:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["flwr"]["app"]["config"]
    assert flatten(table) == RunConfig().flat()


def flatten(table: dict[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in table.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat
