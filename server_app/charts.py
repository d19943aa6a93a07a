"""Charts of the run report as inline SVG: pure functions from numbers to markup, no script and nothing to load.

Colours are CSS variables that the page defines for both schemes, so a chart names a slot of the palette. Every
chart has a title and a description for screen readers, and every mark a tooltip.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

# A slot a modality, then up and down. Contrast with the page is at least 3 (tested); neighbours differ in lightness too.
LIGHT = ("#0068a8", "#c8500a", "#00805c", "#a3488c", "#8f6b00", "#4c5a9e", "#8c3b3b", "#7a5230", "#3f4852", "#8791a0")
DARK = ("#5ab4f0", "#ff9550", "#35cf9d", "#e69bd0", "#e8bf4a", "#a5b0f5", "#f08a8a", "#d2a679", "#d5dbe2", "#7d8896")
UP, DOWN = 8, 9
SLOTS = ("image", "speech", "pen", "word", "sign", "text", "sensor", "table")

WIDTH, HEIGHT = 440, 250
LEFT, TOP, RIGHT, BOTTOM = 46, 14, 76, 40
LABEL_GAP = 15.0

Format = Callable[[float], str]


@dataclass(frozen=True)
class Series:
    """A line or a set of columns: its label, its palette slot and its points (x, y); a NaN leaves a gap."""

    label: str
    slot: int
    points: tuple[tuple[float, float], ...]


def palette_slots(names: Iterable[str]) -> dict[str, int]:
    """One slot a name: well-known modalities always have theirs, others take the free ones in order."""
    ordered = sorted(set(names))
    slots = {name: SLOTS.index(name) for name in ordered if name in SLOTS}
    free = [slot for slot in range(len(SLOTS)) if slot not in slots.values()] or list(range(len(SLOTS)))
    strangers = [name for name in ordered if name not in slots]
    return slots | {name: free[i % len(free)] for i, name in enumerate(strangers)}


def element(name: str, *children: str, **attributes: object) -> Markup:
    """An element; children and attribute values are escaped, ``class_`` and ``stroke_width`` named as in SVG."""
    named = ((key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
    head = Markup("").join(Markup(' {}="{}"').format(key, _short(value)) for key, value in named)
    return Markup("<{0}{1}>{2}</{0}>").format(name, head, Markup("").join(escape(child) for child in children))


def colour(slot: int | None) -> str:
    """The style that gives an element, and what is in it, the colour of a palette slot; None is neutral."""
    return "--c:var(--neutral)" if slot is None else f"--c:var(--s{slot})"


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
    frame = _frame(series, top)
    shades = [_band(frame, x) for x in bands if frame.low_x < x <= frame.high_x]
    lines = [_line(frame, one, x_label, y_format) for one in series]
    return _svg(title, series, y_format, *_axes(frame, x_label, y_format), *shades, *lines, *_end_labels(frame, series))


def column_chart(series: Sequence[Series], title: str, x_label: str, y_format: Format) -> Markup:
    """Columns over rounds, the series side by side; their legend is the page's."""
    frame = _frame(series, None, margin=0.5, right=12)
    slot_width = frame.x(1) - frame.x(0)
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


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """At most `most` + 1 round numbers (1, 2 or 5 times a power of ten apart) from `low` to `high`."""
    if not high > low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """The positions nearest to the wanted ones (least squares) that are at least `gap` apart, in the same order.

    They are then moved together into [low, high], from `low` on where they do not fit. Pools adjacent violators.
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    pools: list[tuple[float, int]] = []
    for place, i in enumerate(order):
        mean, size = wanted[i] - place * gap, 1
        while pools and pools[-1][0] > mean:
            above, count = pools.pop()
            mean, size = (above * count + mean * size) / (count + size), count + size
        pools.append((mean, size))
    levels = [mean for mean, size in pools for _ in range(size)]
    placed = [0.0] * len(wanted)
    for place, (i, level) in enumerate(zip(order, levels, strict=True)):
        highest = high - (len(order) - 1) * gap
        placed[i] = max(min(level, highest), low) + place * gap
    return placed


@dataclass(frozen=True)
class _Frame:
    low_x: float
    high_x: float
    low_y: float
    high_y: float
    right: float

    def x(self, value: float) -> float:
        return LEFT + (value - self.low_x) / (self.high_x - self.low_x) * (WIDTH - LEFT - self.right)

    def y(self, value: float) -> float:
        share = (min(max(value, self.low_y), self.high_y) - self.low_y) / (self.high_y - self.low_y)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _frame(series: Sequence[Series], top: float | None, margin: float = 0.0, right: float = RIGHT) -> _Frame:
    xs = [x for one in series for x, _ in one.points] or [0.0]
    ys = [y for one in series for _, y in one.points if math.isfinite(y)] or [0.0]
    low_x, high_x = min(xs) - margin, max(xs) + margin
    high_y = top if top is not None else 1.08 * max(ys)
    low_y = min(0.0, *ys)
    return _Frame(low_x, high_x if high_x > low_x else low_x + 1, low_y, high_y if high_y > low_y else low_y + 1, right)


def _axes(frame: _Frame, x_label: str, y_format: Format) -> list[Markup]:
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


def _band(frame: _Frame, x: float) -> Markup:
    left, right = frame.x(x - 1), frame.x(x)
    tip = element("title", f"round {x:g} kept the old model")
    return element("rect", tip, class_="band", x=left, y=TOP, width=right - left, height=HEIGHT - TOP - BOTTOM)


def _line(frame: _Frame, one: Series, x_label: str, y_format: Format) -> Markup:
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


def _end_labels(frame: _Frame, series: Sequence[Series]) -> list[Markup]:
    ends = [(one, [y for _, y in one.points if math.isfinite(y)]) for one in series]
    last = [(one, frame.y(ys[-1])) for one, ys in ends if ys]
    heights = spread([y for _, y in last], LABEL_GAP, TOP + 4, HEIGHT - BOTTOM)
    x = WIDTH - frame.right + 8
    return [
        element("text", one.label, class_="name", x=x, y=y + 4, style=colour(one.slot))
        for (one, _), y in zip(last, heights, strict=True)
    ]


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
