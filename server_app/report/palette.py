"""The colours of the page, a slot a modality.

They are CSS variables that the style sheet defines for both schemes, so that a chart names a slot of the palette.
"""

from __future__ import annotations

from collections.abc import Iterable

# A slot a modality, then up and down. Contrast with the page is at least 3 (tested); neighbours differ in lightness too.
LIGHT = ("#0068a8", "#c8500a", "#00805c", "#a3488c", "#8f6b00", "#4c5a9e", "#8c3b3b", "#7a5230", "#3f4852", "#8791a0")
DARK = ("#5ab4f0", "#ff9550", "#35cf9d", "#e69bd0", "#e8bf4a", "#a5b0f5", "#f08a8a", "#d2a679", "#d5dbe2", "#7d8896")
UP, DOWN = 8, 9
ANSWERS = 0
SLOTS = ("image", "speech", "pen", "word", "sign", "text", "sensor", "table")


def palette_slots(names: Iterable[str]) -> dict[str, int]:
    """One slot a name: well-known modalities always have theirs, others take the free ones in order."""
    ordered = sorted(set(names))
    slots = {name: SLOTS.index(name) for name in ordered if name in SLOTS}
    free = [slot for slot in range(len(SLOTS)) if slot not in slots.values()] or list(range(len(SLOTS)))
    strangers = [name for name in ordered if name not in slots]
    return slots | {name: free[i % len(free)] for i, name in enumerate(strangers)}


def colour(slot: int | None) -> str:
    """The style that gives an element, and what is in it, the colour of a palette slot; None is neutral."""
    return "--c:var(--neutral)" if slot is None else f"--c:var(--s{slot})"
