"""Figures as people read them; one that is not defined is a dash."""

from __future__ import annotations

import math


def percent(value: float) -> str:
    return f"{100 * value:.1f}\N{NARROW NO-BREAK SPACE}%" if math.isfinite(value) else "–"


def score(value: float) -> str:
    return f"{value:.2f}".replace("-", "−") if math.isfinite(value) else "–"


def size(count: float) -> str:
    """Bytes in decimal units, to three digits."""
    if not math.isfinite(count):
        return "–"
    power = min(int(math.log10(count) // 3), 4) if count >= 1 else 0
    value = count / 1000**power
    digits = 0 if power == 0 or value >= 100 else 1
    return f"{value:.{digits}f}\N{NARROW NO-BREAK SPACE}{('B', 'kB', 'MB', 'GB', 'TB')[power]}"


def duration(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "–"
    if seconds < 60:
        return f"{seconds:.1f}\N{NARROW NO-BREAK SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def whole(count: float) -> str:
    return f"{count:.0f}" if math.isfinite(count) else "–"


def millionths(ratio: float) -> str:
    """A small ratio in parts per million, to two digits below ten."""
    count = 1e6 * ratio
    return (f"{count:.2g}" if abs(count) < 10 else f"{count:.0f}") if math.isfinite(ratio) else "–"


def axis_percent(value: float) -> str:
    return f"{100 * value:.0f}\N{NARROW NO-BREAK SPACE}%"
