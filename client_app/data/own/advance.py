"""Telling how far some work is."""

from __future__ import annotations

from collections.abc import Callable

Advance = Callable[[str, int, int], None]  # what is being done, how much of it, out of how much


def silent(doing: str, done: int, total: int) -> None:
    """For nobody to see."""
