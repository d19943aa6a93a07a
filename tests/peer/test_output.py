"""What `concord peer` prints."""

from __future__ import annotations

import io
from typing import Any

import pytest

from concord.commands.peer import figures_table, say
from concord.console import plain_console
from peer_app.log import member_line


def printed(line: dict[str, Any]) -> str:
    console = plain_console(file=io.StringIO(), width=200, force_terminal=True)
    say(line, console)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_what_another_wrote_moves_no_cursor_and_colours_nothing() -> None:
    text = printed(member_line(3, "bert", "mismatch", "slice \x1b[2J\x1b]0;owned\x07 [red]é\r\nround 9/9: fine"))
    assert text == "round 3: bert mismatch slice \ufffd[2J\ufffd]0;owned\ufffd [red]é\ufffd\ufffdround 9/9: fine\n"


@pytest.mark.parametrize(("heard", "told"), [([], True), (["bert"], False)])
def test_that_nothing_was_exchanged_is_told_with_the_figures(heard: list[str], told: bool) -> None:
    result = {"agent": "anna", "method": "parse", "suite": "demo", "accuracy": {"unseen": {"image": 0.5}}, "heard-from": heard}
    console = plain_console(file=io.StringIO(), width=100)
    console.print(figures_table(result))
    shown = " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
    assert ("It heard nobody: see member and link in metrics.jsonl." in shown) == told
