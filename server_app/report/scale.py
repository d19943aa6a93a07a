"""Where the marks of a chart go: pure functions from numbers to positions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 440, 250
LEFT, TOP, RIGHT, BOTTOM = 46, 14, 76, 40


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
class Frame:
    """What part of the plane a chart shows, and where its points go; `right` is the room that is left for labels."""

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


def frame_of(points: Sequence[tuple[float, float]], top: float | None, margin: float = 0.0, right: float = RIGHT) -> Frame:
    """A frame with all points in it, and zero; it has an area where they have none."""
    xs = [x for x, _ in points] or [0.0]
    ys = [y for _, y in points if math.isfinite(y)] or [0.0]
    low_x, high_x = min(xs) - margin, max(xs) + margin
    high_y = top if top is not None else 1.08 * max(ys)
    low_y = min(0.0, *ys)
    return Frame(low_x, high_x if high_x > low_x else low_x + 1, low_y, high_y if high_y > low_y else low_y + 1, right)
