"""Charts of the run report as inline SVG: pure functions from numbers to markup, no script and nothing to load.

Colours are CSS variables that the page defines for both schemes, so a chart names a slot of the palette. Every
chart has a title and a description for screen readers, and every mark a tooltip.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from server_app.report.palette import colour
from server_app.report.scale import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Frame, frame_of, spread, ticks

LABEL_GAP = 15.0
LETTER, LABEL_ROOM, WIDEST_LABEL = 7.6, 14.0, 195.0  # of names at the ends of lines: mean width of a letter, margin, most

Format = Callable[[float], str]


@dataclass(frozen=True)
class Series:
    """A line or a set of columns: its label, its palette slot (None is neutral) and its points (x, y); a NaN leaves a gap.

    `spread` is shaded behind a line: intervals (x, low, high), finite.
    """

    label: str
    slot: int | None
    points: tuple[tuple[float, float], ...]
    spread: tuple[tuple[float, float, float], ...] = ()


def element(name: str, *children: str, **attributes: object) -> Markup:
    """An element; children and attribute values are escaped, ``class_`` and ``stroke_width`` named as in SVG."""
    named = ((key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
    head = Markup("").join(Markup(' {}="{}"').format(key, _short(value)) for key, value in named)
    return Markup("<{0}{1}>{2}</{0}>").format(name, head, Markup("").join(escape(child) for child in children))


def bar(share: float, slot: int | None, mark: float | None = None) -> Markup:
    """A bar for a table cell, `share` of its width; the number stands beside it, so it is hidden from readers.

    Args:
        mark: where to draw a thin line to compare with, as a share of the width.
    """
    filled = 100 * min(max(share, 0.0), 1.0) if math.isfinite(share) else 0.0
    marks = [] if mark is None else [element("rect", class_="mark", x=100 * mark - 0.5, width=1, height=8)]
    return element(
        "svg",
        element("rect", class_="track", width=100, height=8),
        element("rect", class_="fill", width=filled, height=8),
        *marks,
        class_="bar",
        viewBox="0 0 100 8",
        preserveAspectRatio="none",
        aria_hidden="true",
        style=colour(slot),
    )


def line_chart(
    series: Sequence[Series], title: str, x_label: str, y_format: Format, top: float | None = None, bands: Sequence[float] = ()
) -> Markup:
    """Lines over rounds, each named at its right end.

    Args:
        top: upper end of the y axis; None takes it from the values.
        bands: right ends x of intervals [x - 1, x] to shade.
    """
    longest = max((len(one.label) for one in series), default=0)
    right = min(max(RIGHT, LABEL_ROOM + LETTER * longest), WIDEST_LABEL)
    frame = frame_of([point for one in series for point in one.points], top, right=right)
    shades = [_band(frame, x) for x in bands if frame.low_x < x <= frame.high_x]
    shades += [_spread(frame, one) for one in series if one.spread]
    lines = [_line(frame, one, x_label, y_format) for one in series]
    return _svg(title, series, y_format, *_axes(frame, x_label, y_format), *shades, *lines, *_end_labels(frame, series))


def column_chart(series: Sequence[Series], title: str, x_label: str, y_format: Format, step: float = 1) -> Markup:
    """Columns over rounds, or what else is `step` apart, the series side by side; their legend is the page's."""
    frame = frame_of([point for one in series for point in one.points], None, margin=step / 2, right=12)
    slot_width = frame.x(step) - frame.x(0)
    width = min(0.7 * slot_width / max(len(series), 1), 18)
    columns: list[Markup] = []
    for i, one in enumerate(series):
        offset = (i - len(series) / 2) * width
        for x, y in one.points:
            if math.isfinite(y):
                tip = element("title", f"{one.label}, {x_label} {x:g}: {y_format(y)}")
                place = {"x": frame.x(x) + offset, "y": frame.y(y)}
                size = {"width": 0.88 * width, "height": frame.y(frame.low_y) - frame.y(y)}
                columns.append(element("rect", tip, class_="column", style=colour(one.slot), rx=1, **place, **size))
    return _svg(title, series, y_format, *_axes(frame, x_label, y_format), *columns)


def _axes(frame: Frame, x_label: str, y_format: Format) -> list[Markup]:
    base, end = HEIGHT - BOTTOM, WIDTH - frame.right
    marks: list[Markup] = []
    for value in ticks(frame.low_y, frame.high_y):
        y = frame.y(value)
        marks.append(element("line", class_="rule", x1=LEFT, x2=end, y1=y, y2=y))
        marks.append(element("text", y_format(value), class_="tick", x=LEFT - 8, y=y + 4, text_anchor="end"))
    for value in ticks(frame.low_x, frame.high_x, 10):
        if value == round(value):
            marks.append(element("text", f"{value:g}", class_="tick", x=frame.x(value), y=base + 17, text_anchor="middle"))
    marks.append(element("line", class_="axis", x1=LEFT, x2=end, y1=base, y2=base))
    marks.append(element("text", x_label, class_="tick", x=(LEFT + end) / 2, y=HEIGHT - 5, text_anchor="middle"))
    return marks


def _band(frame: Frame, x: float) -> Markup:
    left, right = frame.x(x - 1), frame.x(x)
    tip = element("title", f"round {x:g} kept the old model")
    return element("rect", tip, class_="band", x=left, y=TOP, width=right - left, height=HEIGHT - TOP - BOTTOM)


def _spread(frame: Frame, one: Series) -> Markup:
    corners = [(x, high) for x, _, high in one.spread] + [(x, low) for x, low, _ in reversed(one.spread)]
    points = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in corners)
    return element("polygon", class_="spread", points=points, style=colour(one.slot))


def _line(frame: Frame, one: Series, x_label: str, y_format: Format) -> Markup:
    path, pen_down = "", False
    dots: list[Markup] = []
    for x, y in one.points:
        if not math.isfinite(y):
            pen_down = False
            continue
        path += f"{'L' if pen_down else 'M'}{frame.x(x):.1f} {frame.y(y):.1f}"
        pen_down = True
        tip = element("title", f"{one.label}, {x_label} {x:g}: {y_format(y)}")
        dots.append(element("circle", tip, class_="dot", cx=frame.x(x), cy=frame.y(y), r=3))
    return element("g", element("path", class_="line", d=path), *dots, style=colour(one.slot))


def _end_labels(frame: Frame, series: Sequence[Series]) -> list[Markup]:
    ends = [(one, [y for _, y in one.points if math.isfinite(y)]) for one in series]
    last = [(one, frame.y(ys[-1])) for one, ys in ends if ys]
    heights = spread([y for _, y in last], LABEL_GAP, TOP + 4, HEIGHT - BOTTOM)
    x = WIDTH - frame.right + 8
    letters = int((frame.right - LABEL_ROOM) / LETTER)
    return [
        element("text", _shortened(one.label, letters), class_="name", x=x, y=y + 4, style=colour(one.slot))
        for (one, _), y in zip(last, heights, strict=True)
    ]


def _shortened(label: str, letters: int) -> str:
    return label if len(label) <= letters else f"{label[: letters - 1]}…"


def _svg(title: str, series: Sequence[Series], y_format: Format, *marks: Markup) -> Markup:
    ends = [(one.label, [y for _, y in one.points if math.isfinite(y)]) for one in series]
    told = "; ".join(f"{label} from {y_format(ys[0])} to {y_format(ys[-1])}" for label, ys in ends if ys)
    return element(
        "svg",
        element("title", title),
        element("desc", told or "no values"),
        *marks,
        class_="chart",
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
    )


def _short(value: object) -> object:
    return f"{value:.5g}" if isinstance(value, float) else value
