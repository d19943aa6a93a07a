"""Calling the command as a shell would."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from concord import cli

Outcome = tuple[int, str, str]  # exit status, standard output, standard error


def caller(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int) -> Callable[..., Outcome]:
    """What calls ``concord`` with arguments, on a terminal of that width."""
    monkeypatch.setenv("COLUMNS", str(columns))

    def call(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["concord", *arguments])
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    return call
