"""Commands in the documents are commands that there are, with options that they know; none is run here.

They are run as they stand elsewhere: docs/running.md and docs/peers.md (test_pages_as_run.py), docs/own-data.md
(tests/data/test_own_walk.py), docs/using.md (tests/inference), docs/extending.md (test_extending.py), and of deploy/README.md
those that need no machine of their own (tests/deploy).
"""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import click
import pytest
from typer.main import get_command

from concord.cli import app
from concord.config import known_keys

ROOT = Path(__file__).parents[2]
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    *sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")),
    "deploy/README.md",
)
CONCORD: click.Command = get_command(app)
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PROGRAM = re.compile(r"(as_concord )?(\S*/)?(?=(concord|make|python3?) )")  # what may stand before the name of ours


def fenced(page: str) -> Iterator[str]:
    """Our commands in blocks of commands."""
    for language, block in FENCED.findall(page):
        if language in ("", "sh"):
            for line in re.split(r"\n|&&", block.replace("\\\n", " ")):
                if found := PROGRAM.match(line.strip()):
                    yield line.strip()[found.end() :]


def within_lines(page: str) -> Iterator[str]:
    """Our commands in the text; what they need may be left out."""
    spans = re.findall(r"`([^`\n]+)`", FENCED.sub("", page))
    yield from (span for span in spans if re.match(r"concord [a-z]|make [a-z]|python -m ", span))


def check(command: str, *, whole: bool) -> None:
    """AssertionError or a UsageError of Click for a command that there is not, or that does not know an option."""
    program, *words = shlex.split(command, comments=True)
    if program == "make":
        named = re.sub(r"-C \S+", "", " ".join(words)).split()
        assert {word for word in named if "=" not in word} <= TARGETS, command
    elif program == "concord":
        check_own(words, whole=whole)
    elif words[0] == "-m":
        assert importlib.util.find_spec(words[1]), command


def check_own(words: list[str], *, whole: bool) -> None:
    command = CONCORD
    context = click.Context(command)
    while isinstance(command, click.Group) and words:
        name, command, words = command.resolve_command(context, words)
        assert command is not None, name
        context = click.Context(command, parent=context, info_name=name)
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if re.match(r"--?[a-z]", word)} <= known, f"{words}, known are {sorted(known)}"
    settings = [value for option, value in pairwise(words) if option == "--set"]
    assert {setting.partition("=")[0] for setting in settings} <= {*known_keys()}, settings
    if whole:
        command.make_context(context.info_name, list(words))


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_is_one_that_there_is(page: str) -> None:
    text = (ROOT / page).read_text()
    for command in fenced(text):
        check(command, whole=True)
    for command in within_lines(text):
        check(command, whole=False)


def test_commands_are_found_in_blocks_and_in_lines() -> None:
    text, running = ((ROOT / page).read_text() for page in ("README.md", "docs/running.md"))
    assert "make demo" in {command.partition("  ")[0] for command in fenced(text)}
    assert "make soak" in set(within_lines(text))
    assert "concord run --resume RUN" in {command.partition("  ")[0] for command in fenced(running)}
    guide = (ROOT / "deploy" / "README.md").read_text()
    assert any(re.match(r"concord submit \S+ +--superlink", command) for command in fenced(guide))


@pytest.mark.parametrize(
    "line",
    [
        "concord run --nope 3",
        "concord run --seed many",
        "concord run --set round=3",
        "concord nope",
        "concord data nope",
        "concord keys server keys",
        "/opt/bin/concord report",
        "make nope",
        "python -m concord.nope",
        "cd here && concord classify --model RUN",
    ],
)
def test_a_made_up_command_is_found(line: str) -> None:
    (command,) = fenced(f"```\n{line}\n```")
    with pytest.raises((AssertionError, click.UsageError)):
        check(command, whole=True)


def test_a_made_up_option_within_a_line_is_found() -> None:
    (command,) = within_lines("Say `concord keys server --hosts`.")
    with pytest.raises(AssertionError, match="--hosts"):
        check(command, whole=False)
