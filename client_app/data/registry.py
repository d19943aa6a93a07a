"""The suites, one line each."""

from __future__ import annotations

from client_app.data.activity import ACTIVITY, VALIDATION
from client_app.data.activity_agents import AGENTS, AGENTS_THREE, AGENTS_VALIDATION
from client_app.data.demo import DEMO
from client_app.data.digits import DIGITS
from client_app.data.strokes import STROKES
from client_app.data.suite import PairedSuite, Suite
from concord.errors import ConcordError

SUITES: dict[str, Suite | PairedSuite] = {
    suite.name: suite for suite in (DEMO, DIGITS, ACTIVITY, VALIDATION, AGENTS, AGENTS_THREE, AGENTS_VALIDATION, STROKES)
}


def find_suite(name: str) -> Suite | PairedSuite:
    """The suite of that name; ConcordError C204 if there is none."""
    if name not in SUITES:
        raise ConcordError("C204", f"no suite {name!r}", f"choose one of: {', '.join(SUITES)} (see `concord data list`)")
    return SUITES[name]
