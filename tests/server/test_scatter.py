"""Points are drawn where their numbers say, and parties can be told apart."""

from __future__ import annotations

import re

from server_app.report.palette import SLOTS
from server_app.report.scatter import MARGIN, SHAPES, SIDE, Point, key, scatter_chart

HALF = SIDE / 2 - MARGIN


def drawn(*points: Point, reach: float = 1.0) -> str:
    return str(scatter_chart(points, "T & U", ("a < b", "c"), reach))


def test_a_point_is_where_its_numbers_say_and_its_tie_leads_to_the_merged_one() -> None:
    chart = drawn(Point(1.0, -0.5, 0, 1.0, "mine", (-1.0, 1.0)), Point(-1.0, 1.0, None, 1.0, "of <all>"))
    right, low = SIDE / 2 + HALF, SIDE / 2 + HALF / 2
    assert f"translate({right:.1f} {low:.1f})" in chart
    assert f'x1="{right:g}" y1="{low:g}" x2="{MARGIN:g}" y2="{MARGIN:g}"' in chart
    assert re.search(rf'<circle class="merged" cx="{MARGIN:g}" cy="{MARGIN:g}" r="[\d.]+"><title>of &lt;all&gt;</title>', chart)
    assert "<title>T &amp; U</title><desc>2 points of 1 parties" in chart
    assert "a &lt; b" in chart


def test_the_same_place_is_nearer_to_the_middle_where_the_picture_reaches_further() -> None:
    assert f"translate({SIDE / 2 + HALF / 4:.1f} {SIDE / 2:.1f})" in drawn(Point(0.5, 0.0, 0, 1.0, ""), reach=2.0)


def test_what_is_heavier_is_larger_and_does_not_hide_what_is_lighter() -> None:
    chart = drawn(Point(0, 0, None, 1.0, "all"), Point(0, 0, 0, 0.1, "light"), Point(0, 0, 1, 0.9, "heavy"))
    radii = [float(r) for r in re.findall(r"scale\(([\d.]+)\)", chart)]
    assert radii[0] > radii[1]
    assert re.findall(r"<title>(all|light|heavy)</title>", chart) == ["heavy", "light", "all"]


def test_parties_beyond_the_colours_of_the_palette_have_other_shapes() -> None:
    parties = len(SHAPES) * len(SLOTS)
    assert len({str(key(owner)) for owner in [*range(parties), None]}) == parties + 1
    assert key(parties) == key(0)
