"""Points in a plane as inline SVG, each tied to where it belongs; see `server_app.report.charts`.

Parties beyond the palette's colours are told apart by shape.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from server_app.report.charts import element
from server_app.report.palette import SLOTS, colour

SIDE, MARGIN, FOOT = 440.0, 12.0, 24.0
SMALLEST, LARGEST, MERGED = 2.2, 5.5, 4.4  # radius of a point
SHAPES = (  # in units of the radius, each with the area of the circle
    "",
    "M-.89 -.89H.89V.89H-.89Z",
    "M0 -1.44L1.3 .79H-1.3Z",
    "M0 -1.25L1.25 0L0 1.25L-1.25 0Z",
)


@dataclass(frozen=True)
class Point:
    """A point: where it is, whose (None: of all), how heavy from 0 to 1, what its tooltip says, and where its tie leads."""

    x: float
    y: float
    owner: int | None
    weight: float
    tip: str
    tie: tuple[float, float] | None = None


def scatter_chart(points: Sequence[Point], title: str, axes: tuple[str, str], reach: float) -> Markup:
    """Points around the middle of a square, those of all on top.

    Args:
        axes: what the horizontal and the vertical axis show.
        reach: distance of the edges from the middle, in the units of the points.
    """
    scale = (SIDE / 2 - MARGIN) / reach
    middle = SIDE / 2
    ordered = sorted(points, key=lambda p: (p.owner is None, -p.weight))
    placed = [(p, middle + scale * p.x, middle - scale * p.y) for p in ordered]
    ties = [_tie(p.owner, x, y, middle + scale * p.tie[0], middle - scale * p.tie[1]) for p, x, y in placed if p.tie]
    marks = [_mark(p.owner, x, y, _radius(p.weight), element("title", p.tip)) for p, x, y in placed]
    across, along = axes
    words = [
        element("text", across, class_="tick", x=middle, y=SIDE + 14, text_anchor="middle"),
        element("text", along, class_="tick", transform=f"translate(-8 {middle:g}) rotate(-90)", text_anchor="middle"),
    ]
    parties = len({p.owner for p in points if p.owner is not None})
    return element(
        "svg",
        element("title", title),
        element("desc", f"{len(points)} points of {parties} parties and of all together"),
        element("rect", class_="edge", width=SIDE, height=SIDE, rx=8),
        *ties,
        *marks,
        *words,
        class_="chart",
        viewBox=f"-24 0 {SIDE + 24:g} {SIDE + FOOT:g}",
        role="img",
    )


def key(owner: int | None) -> Markup:
    """The mark of an owner, for a legend."""
    return element("svg", _mark(owner, 0.0, 0.0, LARGEST), class_="key", viewBox="-8 -8 16 16", aria_hidden="true")


def _radius(weight: float) -> float:
    return SMALLEST + (LARGEST - SMALLEST) * math.sqrt(weight)


def _tie(owner: int | None, x1: float, y1: float, x2: float, y2: float) -> Markup:
    return element("line", class_="tie", x1=x1, y1=y1, x2=x2, y2=y2, style=_colour(owner))


def _mark(owner: int | None, x: float, y: float, radius: float, *inside: Markup) -> Markup:
    if owner is None:
        return element("circle", *inside, class_="merged", cx=x, cy=y, r=MERGED)
    shape = SHAPES[owner // len(SLOTS) % len(SHAPES)]
    place = {"transform": f"translate({x:.1f} {y:.1f}) scale({radius:.2f})", "style": _colour(owner), "class_": "point"}
    return element("path", *inside, d=shape, **place) if shape else element("circle", *inside, r=1, **place)


def _colour(owner: int | None) -> str:
    return colour(None if owner is None else owner % len(SLOTS))
