"""Which agents are neighbours, for each slice that they share.

For PARSE (Shi et al., arXiv 2601.10012). Published in words: peers exchange only slices that both can use, on the subgraph
of those who use the slice; overlays are rings, chordal rings and random ones; v2 designs an overlay a modality. The order of
rings, the length of chords and when a slice is re-wired are ours.

Every agent computes the same graphs from the same names, whatever machine, process or Python it runs on: orders come from
SHA-256 of the seed and the name. Sets have no order, so who goes over neighbours sorts them (`links_of` does).

An agent that is gone is not among the holders; calling again with those who are left reconnects what fell apart. What that
leaves as it was, of the links between those who stay, when one of K members goes:

- ``complete`` and ``ring``: all of them; in a ring the two neighbours of the one who left are linked anew.
- ``chordal-ring``: the ring as above; the chords too but for fewer than ceil(sqrt(K)) that spanned the place. Where
  ceil(sqrt(K)) changes, all chords do.
- ``random-regular``: most. Each cycle closes like a ring, but a few links move where cycles then overlap in other places,
  and sometimes (the more rarely, the larger K against the degree) a cycle is drawn anew.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, assert_never

from concord.seeding import derive_seed

OverlayKind = Literal["ring", "chordal-ring", "random-regular", "complete"]

Graph = Mapping[str, frozenset[str]]
"""Neighbours by name: symmetric, nobody its own, every member a key."""

_DRAWS = 20


@dataclass(frozen=True)
class SliceLink:
    """A slice that two neighbours exchange, and how many neighbours this end has in that slice's graph."""

    slice: str
    degree: int


def build_overlay(kind: OverlayKind, members: Collection[str], degree: int, seed: int) -> Graph:
    """A connected graph over members, the same for whoever builds it. Source: published in words; details ours.

    With K members, in an order by hash:

    - ``ring``: each with the next; degree 2, K links (K > 2).
    - ``chordal-ring``: also each with the one ceil(sqrt(K)) places on; degree 4, 2 K links (K > 6, and 5; else fewer).
    - ``random-regular``: the union of degree / 2 random cycles through all that share no link (H-graphs of Law & Siu,
      INFOCOM 2003, without their double links); of (K - 1) // 2, the most there are, where K is small.
    - ``complete``: all with all.

    Args:
        members: names; their order does not matter.
        degree: neighbours of each, even, at least 2; random-regular only.
        seed: of the orders.

    Raises:
        ValueError: a degree that is odd or below 2, for random-regular.
    """
    order = _ordered(set(members), seed, 0, 0)
    match kind:
        case "ring":
            return _graph(order, _cycle(order))
        case "chordal-ring":
            return _graph(order, _cycle(order) + _cycle(order, places=_root_up(len(order))))
        case "random-regular":
            if degree < 2 or degree % 2:
                raise ValueError(f"the degree of a random-regular overlay must be even and at least 2, got {degree}")
            count = max(1, min(degree // 2, (len(order) - 1) // 2))
            return _graph(order, [link for cycle in _disjoint_cycles(order, count, seed) for link in _cycle(cycle)])
        case "complete":
            return _graph(order, itertools.combinations(order, 2))
        case _:
            assert_never(kind)


def slice_overlays(holders: Mapping[str, frozenset[str]], kind: OverlayKind, degree: int, seed: int) -> Mapping[str, Graph]:
    """A connected graph for each slice, over those who use it. Source: published in words (v2).

    Not the part of one overlay of all, even where that is connected: its links are few, and agents come to agree slowly. Of
    16 agents in a chordal ring, the ten that hold a modality come nearer each other by a factor of 0.9 in a round by their
    part of it, by 0.45 in a chordal ring of their own (`concord.functional.mixing.contraction`). Slices with the same holders
    have the same graph.

    Args:
        holders: by slice, the names of those who use it and are not gone.
        kind, degree, seed: see `build_overlay`.

    Returns:
        Graphs by slice, sorted.

    Raises:
        ValueError: see `build_overlay`.
    """
    graphs = {members: build_overlay(kind, members, degree, seed) for members in set(holders.values())}
    return {slice_: graphs[holders[slice_]] for slice_ in sorted(holders)}


def links_of(agent: str, overlays: Mapping[str, Graph]) -> dict[str, tuple[SliceLink, ...]]:
    """What an agent exchanges with whom.

    Args:
        agent: a name; one that is in no graph has no link.
        overlays: graphs by slice, see `slice_overlays`.

    Returns:
        By neighbour, sorted by name: the slices on that link, sorted by name.
    """
    found: dict[str, list[SliceLink]] = {}
    for slice_, graph in sorted(overlays.items()):
        own = graph.get(agent, frozenset())
        for neighbour in own:
            found.setdefault(neighbour, []).append(SliceLink(slice_, len(own)))
    return {neighbour: tuple(found[neighbour]) for neighbour in sorted(found)}


def _ordered(members: Iterable[str], seed: int, cycle: int, draw: int) -> list[str]:
    """A pseudo-random order in which each has its place by its own name: leaving moves nobody past another."""
    return sorted(members, key=lambda name: (derive_seed(seed, "overlay", cycle, draw, name), name))


def _cycle(order: list[str], places: int = 1) -> list[tuple[str, str]]:
    """Each with the one so many places on."""
    return list(zip(order, order[places:] + order[:places], strict=True))


def _graph(members: Iterable[str], links: Iterable[tuple[str, str]]) -> Graph:
    neighbours: dict[str, set[str]] = {name: set() for name in sorted(members)}
    for a, b in links:
        if a != b:
            neighbours[a].add(b)
            neighbours[b].add(a)
    return {name: frozenset(others) for name, others in neighbours.items()}


def _root_up(number: int) -> int:
    """ceil(sqrt(number)), exactly."""
    return math.isqrt(number - 1) + 1 if number else 0


def _disjoint_cycles(members: list[str], count: int, seed: int) -> list[list[str]]:
    """Random cycles through all, no two with a common link; Walecki's where draws do not get there, which is for few members."""
    cycles: list[list[str]] = []
    for number in range(count):
        taken = _graph(members, [link for cycle in cycles for link in _cycle(cycle)])
        draws = (_avoiding(taken, _ordered(members, seed, number, draw)) for draw in range(_DRAWS))
        cycle = next((cycle for cycle in draws if cycle is not None), None)
        if cycle is None:
            return _walecki_cycles(members, count)
        cycles.append(cycle)
    return cycles


def _avoiding(taken: Graph, order: list[str]) -> list[str] | None:
    """The order, but whoever would follow a taken neighbour waits for the first place that suits; None where it has none."""
    cycle, waiting = order[:1], order[1:]
    while waiting:
        at = next((at for at, name in enumerate(waiting) if name not in taken[cycle[-1]]), None)
        if at is None:
            return None
        cycle.append(waiting.pop(at))
    return None if cycle and cycle[0] in taken[cycle[-1]] else cycle


def _walecki_cycles(members: list[str], count: int) -> list[list[str]]:
    """Up to (K - 1) // 2 cycles without a common link: a hub, and zigzags 0, 1, -1, 2, ... over the others, turned.

    Zigzag j uses the pairs whose places have the sum 2 j or 2 j + 1, so no two use the same one. Source: published (Alspach,
    The wonderful Walecki construction, 2008).
    """
    hub, *rim = members
    steps = [(place + 1) // 2 * (1 if place % 2 else -1) for place in range(len(rim))]
    return [[hub, *(rim[(turn + step) % len(rim)] for step in steps)] for turn in range(count)]
