"""What is printed is what was said: Rich reads neither markup nor emoji codes in it."""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.table import Table
from typer.testing import CliRunner

import concord
from concord.cli import app
from concord.console import plain_console

SAID = "be:2c:ab:ec of [red]ward[/red] 3"


def test_words_and_cells_are_as_they_were_said() -> None:
    file = io.StringIO()
    console = plain_console(file=file, width=60, force_terminal=True)
    table = Table("name")
    table.add_row(SAID)
    console.print(SAID)
    console.print(table)
    assert file.getvalue().count(SAID) == 2
    assert file.getvalue().splitlines()[0] == SAID


def test_paths_and_errors_are_shown_as_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "keys :ab: [red]of[/red] ward"
    made = CliRunner().invoke(app, ["keys", "ca", str(folder)])
    assert made.exit_code == 0
    assert f"made {folder}/ca.key" in made.output


def test_there_is_one_way_to_print() -> None:
    sources = [path for path in Path(concord.__file__).parent.rglob("*.py") if path.name != "console.py"]
    assert [path for path in sources if re.search(r"\bConsole\(", path.read_text())] == []
