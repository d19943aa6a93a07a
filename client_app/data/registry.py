"""The suites, one line each."""

from __future__ import annotations

from client_app.data.demo import DEMO
from client_app.data.digits import DIGITS
from client_app.data.suite import Suite
from concord.errors import ConcordError

SUITES: dict[str, Suite] = {suite.name: suite for suite in (DEMO, DIGITS)}


def find_suite(name: str) -> Suite:
    """The suite of that name; ConcordError C204 if there is none."""
    if name not in SUITES:
        raise ConcordError("C204", f"no suite {name!r}", f"choose one of: {', '.join(SUITES)} (see `concord data list`)")
    return SUITES[name]
