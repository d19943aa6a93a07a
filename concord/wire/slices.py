"""Slices between agents: which window of each travels in a round, and the bytes of it, read defensively.

A slice travels as consecutive values of its flat float32 array. Without a budget that is all of it. With one, the slices
of a link lie end to end, in order of their names, and each round sends the next window of what fits, beginning again at the
start after the end. Both ends of a link know the same slices and the round, hence the same window: they mix the same
coordinates, so the mean over both stays what it was.

Legend: P values of a slice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from concord.errors import ConcordError
from concord.wire.messages import SCHEMA_VERSION, WireError, encode
from concord.wire.v1 import federation_pb2 as pb

VALUE_BYTES = 4
HEADER_BYTES, PIECE_BYTES = 256, 32  # most that a message, and a piece beside the name of its slice, need beside the values
NEWS_BYTES = 80  # most that news of one agent needs

Flat = NDArray[np.float32]


class Window(NamedTuple):
    """Values `begin` to `begin + length` of a slice."""

    slice: str
    begin: int
    length: int


def windows(sizes: Mapping[str, int], round_: int, budget: int) -> tuple[Window, ...]:
    """What travels on a link in a round, ordered by name of the slice.

    Args:
        sizes: by slice of the link its number of values P.
        round_: from 1.
        budget: most bytes of a message; 0: no bound.

    Raises:
        ConcordError: C103, when the budget has no room for a single value.
    """
    ends: dict[str, tuple[int, int]] = {}
    total = 0
    for name in sorted(sizes):
        ends[name] = (total, total + sizes[name])
        total += sizes[name]
    room = total if not budget else min(total, (budget - overhead(sizes)) // VALUE_BYTES)
    if total and room < 1:
        raise ConcordError(
            "C103",
            f"overlay.budget = {budget}: a link of {len(sizes)} slices needs {overhead(sizes)} bytes beside values",
            f"set it to {overhead(sizes) + 1024} or more",
        )
    if not total or room == total:
        return tuple(Window(name, 0, sizes[name]) for name in ends if sizes[name])
    start = (round_ - 1) * room % total
    spans = [(start, min(start + room, total)), (0, max(0, start + room - total))]
    return tuple(
        Window(name, max(low, begin) - low, min(high, end) - max(low, begin))
        for name, (low, high) in ends.items()
        for begin, end in sorted(spans)
        if max(low, begin) < min(high, end)
    )


def overhead(slices: Iterable[str]) -> int:
    """Bytes that a message with these slices may need beside their values."""
    return HEADER_BYTES + sum(2 * (len(name.encode()) + PIECE_BYTES) for name in slices)  # a slice may be there twice


def most_bytes(sizes: Mapping[str, int], budget: int, agents: int = 0) -> int:
    """Of a message with these slices at most, and news of so many agents; arguments as of `windows`."""
    whole = overhead(sizes) + VALUE_BYTES * sum(sizes.values()) + NEWS_BYTES * agents
    return min(whole, budget or whole)


def update_of(
    agent: str,
    round_: int,
    flat: Mapping[str, Flat],
    parts: Iterable[Window],
    degrees: Mapping[str, int],
    heard: Mapping[str, int],
    budget: int,
) -> pb.SliceUpdate:
    """The message of one agent to a neighbour; of `heard` it takes as much as the budget leaves room for.

    Args:
        flat: by slice its values [P].
        parts: the windows of the link.
        degrees: by slice how many neighbours the agent has for it.
        heard: by agent the last round in which it is known to have been there.
        budget: most bytes of the message; 0: no bound.
    """
    pieces = [
        pb.Piece(
            slice=w.slice,
            begin=w.begin,
            values=flat[w.slice][w.begin : w.begin + w.length].astype("<f4").tobytes(),
            degree=degrees[w.slice],
        )
        for w in parts
    ]
    update = pb.SliceUpdate(schema_version=SCHEMA_VERSION, agent=agent, round=round_, pieces=pieces)
    names = sorted(heard)
    turn = round_ % len(names) if names else 0
    for name in names[turn:] + names[:turn]:
        update.heard[name] = heard[name]
        if budget and len(encode(update)) > budget:
            del update.heard[name]
            break
    return update


def values_of(pieces: Iterable[pb.Piece], expected: Iterable[Window]) -> dict[Window, Flat]:
    """The values of each window that is among the pieces of an update, which may have left some out.

    Raises:
        WireError: a piece that is none of the windows, comes twice, or holds a value that is not finite.
    """
    by_place = {(w.slice, w.begin): w for w in expected}
    values: dict[Window, Flat] = {}
    for piece in pieces:
        window = by_place.get((piece.slice, piece.begin))
        if window is None or window in values or len(piece.values) != VALUE_BYTES * window.length:
            what = f"{len(piece.values)} bytes of slice {piece.slice[:80]!r} from value {piece.begin}"
            raise WireError(f"{what}: not what the link carries in this round")
        array = np.frombuffer(piece.values, "<f4").astype(np.float32)
        if not np.isfinite(array).all():
            raise WireError(f"slice {piece.slice!r} has a value that is not finite")
        values[window] = array
    return values
