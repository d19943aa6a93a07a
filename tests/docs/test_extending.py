"""docs/extending.md as a reader follows it: its blocks make a copy of the packages that has a new modality and a new method."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "extending.md").read_text()
PACKAGES = ("concord", "client_app", "strategies", "server_app", "peer_app")


def blocks() -> list[tuple[str, str, str]]:
    """Path, language and text of each block that belongs to a file, in their order."""
    return re.findall(r"^`([\w/]+\.py)`:\n\n```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def patched(text: str, diff: str) -> str:
    """The text with what a diff without line numbers says; each line that it names must be there once."""
    lines, at = text.splitlines(), 0
    for mark, line in ((row[:1], row[1:]) for row in diff.splitlines()):
        if mark == "+":
            lines.insert(at, line)
            at += 1
            continue
        assert lines.count(line) == 1, f"{lines.count(line)} times in the file: {line!r}"
        at = lines.index(line) + (mark == " ")
        if mark == "-":
            del lines[at]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages after the page."""
    copy = tmp_path_factory.mktemp("extended")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    for path, language, block in blocks():
        file = copy / path
        assert file.exists() == (language == "diff"), path
        file.write_text(patched(file.read_text(), block) if language == "diff" else block)
    (table,) = re.findall(r"^sed -i .+$", PAGE, re.MULTILINE)
    in_copy(copy, "bash", "-c", table)
    return copy


def in_copy(copy: Path, *command: str) -> str:
    """What a command prints that imports the packages from the copy."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{copy}:{ROOT / 'tests'}",
    }
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=480, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_diff_that_names_a_line_that_is_not_there_is_told() -> None:
    assert patched("a\nb\nc\n", "-b\n+B\n c\n+d\n") == "a\nB\nc\nd\n"
    with pytest.raises(AssertionError, match="0 times"):
        patched("a\n", " b\n+c\n")
    with pytest.raises(AssertionError, match="2 times"):
        patched("a\na\n", " a\n+c\n")


def test_the_page_adds_a_modality_and_a_method_that_run(extended: Path) -> None:
    (anchors,) = re.findall(r"^concord anchors build .+$", PAGE, re.MULTILINE)
    runs = Path(__file__).with_name("extended_runs.py")
    assert in_copy(extended, sys.executable, str(runs), str(extended), anchors).endswith("all hold\n")


def test_its_code_is_in_the_style_of_the_rest(extended: Path) -> None:
    lengths = {path: len((extended / path).read_text().splitlines()) for path, _, _ in blocks()}
    assert {path: lines for path, lines in lengths.items() if lines > 400} == {}
    in_copy(extended, sys.executable, "-m", "ruff", "check", "--no-cache", *PACKAGES)
    in_copy(extended, sys.executable, "-m", "ruff", "format", "--no-cache", "--check", *PACKAGES)
