"""The suites, one line each."""

from __future__ import annotations

from client_app.data.activity import ACTIVITY, VALIDATION
from client_app.data.activity_agents import AGENTS, AGENTS_THREE, AGENTS_VALIDATION
from client_app.data.citation import CITATION
from client_app.data.demo import DEMO
from client_app.data.digits import DIGITS
from client_app.data.emoji import EMOJI_SUITE
from client_app.data.heterophily import HETEROPHILY
from client_app.data.strokes import STROKES
from client_app.data.suite import GraphSuite, PairedSuite, Suite
from client_app.data.world import WORLD_SUITE
from concord.errors import ConcordError

AnySuite = Suite | PairedSuite | GraphSuite
SUITES: dict[str, AnySuite] = {
    suite.name: suite
    for suite in (
        *(DEMO, DIGITS, ACTIVITY, VALIDATION, AGENTS, AGENTS_THREE, AGENTS_VALIDATION, STROKES, EMOJI_SUITE),
        *(CITATION, HETEROPHILY, WORLD_SUITE),
    )
}


def find_suite(name: str) -> AnySuite:
    """The suite of that name; ConcordError C204 if there is none."""
    if name not in SUITES:
        raise ConcordError(
            "C204",
            f"no suite {name!r}",
            f"choose one of: {', '.join(SUITES)} (see `concord data list`), or own, own-graph (docs/own-data.md)",
        )
    return SUITES[name]
