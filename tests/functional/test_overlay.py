"""Overlays: degrees, links and connectivity of each kind; what stays when members leave; the same for everyone.

Connectivity and subgraphs are checked by networks of scipy and by plain loops over pairs.
"""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components

from concord.config import OverlayConfig
from concord.functional.mixing import contraction, metropolis_matrix, metropolis_weight
from concord.overlay import Graph, OverlayKind, SliceLink, build_overlay, links_of, slice_overlays

KINDS: tuple[OverlayKind, ...] = get_args(OverlayKind)
ROOT = Path(__file__).parents[2]
Links = set[frozenset[str]]

kinds = st.sampled_from(KINDS)
degrees = st.sampled_from([2, 4, 6, 10])
seeds = st.integers(0, 2**31)


def names(number: int) -> list[str]:
    return [f"agent-{k}" for k in range(number)]


@st.composite
def held(draw: st.DrawFn) -> dict[str, frozenset[str]]:
    """Up to 40 agents and six slices, each with holders of its own."""
    agents = names(draw(st.integers(1, 40)))
    some = st.frozensets(st.sampled_from(agents))
    return {f"slice-{k}": draw(some) for k in range(draw(st.integers(1, 6)))} | {"all": frozenset(agents)}


def links(graph: Graph) -> Links:
    return {frozenset((a, b)) for a, others in graph.items() for b in others}


def among(graph_links: Links, members: frozenset[str]) -> Links:
    return {link for link in graph_links if link <= members}


def adjacency(graph: Graph) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    order = sorted(graph)
    return np.array([[b in graph[a] for b in order] for a in order], dtype=bool).reshape(len(order), len(order))


def parts_by_scipy(graph: Graph) -> int:
    return int(connected_components(adjacency(graph), directed=False)[0]) if graph else 0


def without(holders: dict[str, frozenset[str]], gone: set[str]) -> dict[str, frozenset[str]]:
    return {slice_: members - gone for slice_, members in holders.items()}


def test_the_kinds_are_those_of_the_configuration() -> None:
    assert set(KINDS) == set(get_args(OverlayConfig.model_fields["kind"].annotation))


@given(kinds, st.integers(0, 40), degrees, seeds)
def test_every_overlay_is_a_connected_graph_of_its_members(kind: OverlayKind, number: int, degree: int, seed: int) -> None:
    graph = build_overlay(kind, names(number), degree, seed)
    assert list(graph) == sorted(names(number))
    assert all(a not in others and all(a in graph[b] for b in others) for a, others in graph.items())
    assert parts_by_scipy(graph) == min(number, 1)


@given(kinds, st.lists(st.text(), unique=True, max_size=12), seeds, st.randoms(use_true_random=False))
def test_the_order_of_members_does_not_matter(
    kind: OverlayKind, members: list[str], seed: int, random: np.random.Generator
) -> None:
    graph = build_overlay(kind, members, 4, seed)
    shuffled = members + members[:2]
    random.shuffle(shuffled)
    assert build_overlay(kind, shuffled, 4, seed) == graph
    assert build_overlay(kind, frozenset(members), 4, seed) == graph


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 17, 37])
@pytest.mark.parametrize("seed", [0, 1])
def test_degrees_and_links_of_each_kind(number: int, seed: int) -> None:
    def shape(kind: OverlayKind, degree: int = 4) -> tuple[set[int], int]:
        graph = build_overlay(kind, names(number), degree, seed)
        return {len(others) for others in graph.values()}, len(links(graph))

    def regular(degree: int) -> tuple[set[int], int]:
        return ({degree} if number else set()), number * degree // 2

    assert shape("complete") == regular(max(number - 1, 0))
    assert shape("ring") == regular(min(2, max(number - 1, 0)))
    assert shape("chordal-ring") == regular({6: 3}.get(number, min(4, max(number - 1, 0))))
    for degree in (2, 4, 6, 12, 40):
        if number > 2:
            assert shape("random-regular", degree) == regular(min(degree, 2 * ((number - 1) // 2)))
        else:
            assert shape("random-regular", degree) == shape("complete")


@pytest.mark.parametrize("degree", [-2, 0, 1, 3])
def test_a_random_regular_overlay_has_an_even_degree(degree: int) -> None:
    with pytest.raises(ValueError, match="even and at least 2"):
        build_overlay("random-regular", names(5), degree, 0)


def walk(graph: Graph) -> list[str]:
    """The members of a ring in its order."""
    path = [min(graph)]
    while len(path) < len(graph):
        path.append(min(graph[path[-1]] - set(path)))
    return path


@given(st.integers(4, 60), seeds)
def test_chords_are_as_long_as_the_root(number: int, seed: int) -> None:
    order = walk(build_overlay("ring", names(number), 4, seed))
    places = math.ceil(math.sqrt(number))
    wanted = {frozenset((order[k], order[(k + step) % number])) for k in range(number) for step in (1, places)}
    assert links(build_overlay("chordal-ring", names(number), 4, seed)) == wanted


def test_the_ring_follows_the_seed_and_not_the_alphabet() -> None:
    rings = [links(build_overlay("ring", names(12), 4, seed)) for seed in range(30)]
    alphabet = {frozenset((f"agent-{k}", f"agent-{(k + 1) % 12}")) for k in range(12)}
    assert len(set(map(frozenset, rings))) == 30
    assert alphabet not in rings
    counts = {pair: sum(frozenset(pair) in ring for ring in rings) for pair in itertools.combinations(names(12), 2)}
    assert max(counts.values()) <= 15  # of 30, 5.5 expected


def test_random_regular_overlays_mix_faster_than_rings() -> None:
    """A ring of 64 takes hundreds of rounds; chords and random cycles a dozen or two."""
    found = {
        kind: contraction(metropolis_matrix(torch.from_numpy(adjacency(build_overlay(kind, names(64), 4, 0))))) for kind in KINDS
    }
    assert found["ring"] > 0.99
    assert found["chordal-ring"] < 0.9
    assert found["random-regular"] < 0.9
    assert found["complete"] < 1e-9


@given(held(), kinds, degrees, seeds)
def test_a_slice_has_an_overlay_of_its_own(holders: dict[str, frozenset[str]], kind: OverlayKind, degree: int, seed: int) -> None:
    found = slice_overlays(holders, kind, degree, seed)
    assert list(found) == sorted(holders)
    for slice_, members in holders.items():
        assert found[slice_] == build_overlay(kind, members, degree, seed)
        assert set(found[slice_]) == members
        assert parts_by_scipy(found[slice_]) == min(len(members), 1)


@pytest.mark.parametrize("kind", ["chordal-ring", "random-regular"])
def test_of_16_agents_the_ten_of_a_slice_agree_faster_than_by_their_part_of_one_overlay(kind: OverlayKind) -> None:
    for seed in range(10):
        members = frozenset(names(16)[:10])
        base = build_overlay(kind, names(16), 4, seed)
        part = {name: base[name] & members for name in sorted(members)}
        own = slice_overlays({"all": frozenset(names(16)), "audio": members}, kind, 4, seed)["audio"]
        by_part, by_own = (contraction(metropolis_matrix(torch.from_numpy(adjacency(graph)))) for graph in (part, own))
        assert by_own < 0.7 < by_part


@given(held(), kinds, seeds)
def test_slices_with_the_same_holders_have_the_same_graph(
    holders: dict[str, frozenset[str]], kind: OverlayKind, seed: int
) -> None:
    twice = holders | {f"again-{slice_}": members for slice_, members in holders.items()}
    found = slice_overlays(twice, kind, 4, seed)
    assert all(found[slice_] == found[f"again-{slice_}"] for slice_ in holders)
    assert {slice_: found[slice_] for slice_ in holders} == slice_overlays(holders, kind, 4, seed)


def test_no_slice_no_overlay() -> None:
    assert slice_overlays({}, "ring", 4, 0) == {}
    assert slice_overlays({"video": frozenset()}, "ring", 4, 0) == {"video": {}}
    assert links_of("a", {}) == {}
    assert links_of("a", slice_overlays({"video": frozenset("bcd")}, "ring", 4, 0)) == {}


@given(held(), kinds, degrees, seeds, st.data())
def test_every_slice_reconnects_when_members_leave(
    holders: dict[str, frozenset[str]], kind: OverlayKind, degree: int, seed: int, data: st.DataObject
) -> None:
    """30 % are gone. Rings and complete overlays keep all links between those who stay."""
    agents = data.draw(st.permutations(sorted(holders["all"])))
    gone = set(agents[: round(0.3 * len(agents))])
    left = without(holders, gone)
    before, after = slice_overlays(holders, kind, degree, seed), slice_overlays(left, kind, degree, seed)
    for slice_, members in left.items():
        assert set(after[slice_]) == members
        assert parts_by_scipy(after[slice_]) == min(len(members), 1)
        if kind in ("ring", "complete"):
            assert among(links(before[slice_]), members) <= links(after[slice_])


@given(held(), kinds, degrees, seeds, st.data())
def test_one_who_leaves_a_slice_changes_no_other(
    holders: dict[str, frozenset[str]], kind: OverlayKind, degree: int, seed: int, data: st.DataObject
) -> None:
    """An agent that stays, but gives up slices, is still among the members: all other slices are as before."""
    left_slice = data.draw(st.sampled_from(sorted(set(holders) - {"all"})))
    leaver = data.draw(st.sampled_from(sorted(holders["all"])))
    before = slice_overlays(holders, kind, degree, seed)
    after = slice_overlays(holders | {left_slice: holders[left_slice] - {leaver}}, kind, degree, seed)
    assert {s: g for s, g in after.items() if s != left_slice} == {s: g for s, g in before.items() if s != left_slice}


@given(st.integers(3, 60), seeds, st.integers(0, 59))
def test_what_an_overlay_keeps_when_one_leaves(number: int, seed: int, leaver: int) -> None:
    agents = names(number)
    gone = agents[leaver % number]
    stay = frozenset(agents) - {gone}

    def changed(kind: OverlayKind) -> tuple[int, int]:
        before = among(links(build_overlay(kind, agents, 4, seed)), stay)
        after = links(build_overlay(kind, stay, 4, seed))
        return len(before - after), len(after - before)

    assert changed("complete") == (0, 0)
    assert changed("ring") == (0, 1 if number > 3 else 0)
    root = math.ceil(math.sqrt(number))
    if root == math.ceil(math.sqrt(number - 1)):
        assert changed("chordal-ring")[0] < root


def test_a_random_regular_overlay_mostly_keeps_its_links_when_one_leaves() -> None:
    """Of 118 links between the 59 who stay, in 40 overlays."""
    lost = []
    for seed in range(40):
        gone = f"agent-{seed}"
        stay = frozenset(names(60)) - {gone}
        before = among(links(build_overlay("random-regular", names(60), 4, seed)), stay)
        lost.append(len(before - links(build_overlay("random-regular", stay, 4, seed))))
    assert sorted(lost)[30] <= 4


@given(held(), kinds, degrees, seeds)
def test_both_ends_see_the_same_link(holders: dict[str, frozenset[str]], kind: OverlayKind, degree: int, seed: int) -> None:
    overlays = slice_overlays(holders, kind, degree, seed)
    seen = {agent: links_of(agent, overlays) for agent in holders["all"]}
    for agent, by_neighbour in seen.items():
        assert list(by_neighbour) == sorted({b for graph in overlays.values() for b in graph.get(agent, ())})
        for neighbour, shared in by_neighbour.items():
            assert [link.slice for link in shared] == sorted(s for s, g in overlays.items() if neighbour in g.get(agent, ()))
            assert [link.slice for link in seen[neighbour][agent]] == [link.slice for link in shared]
            assert all(link.degree == len(overlays[link.slice][agent]) for link in shared)


def test_links_carry_the_weights_of_the_slices_matrix() -> None:
    holders = {"all": frozenset(names(9)), "audio": frozenset(names(9)[::2]), "video": frozenset(names(4))}
    overlays = slice_overlays(holders, "chordal-ring", 4, 5)
    for slice_, graph in overlays.items():
        order = sorted(graph)
        weights_KK = torch.zeros(len(order), len(order), dtype=torch.float64)
        degrees = {
            (a, b): s.degree for a in order for b, shared in links_of(a, overlays).items() for s in shared if s.slice == slice_
        }
        for (agent, neighbour), degree in degrees.items():
            at = order.index(agent), order.index(neighbour)
            weights_KK[at] = metropolis_weight(degree, degrees[neighbour, agent])
        wanted_KK = metropolis_matrix(torch.from_numpy(adjacency(graph))).fill_diagonal_(0)
        assert torch.equal(weights_KK, wanted_KK)


def test_links_by_hand() -> None:
    overlays = {
        "z": {"a": frozenset("bc"), "b": frozenset("a"), "c": frozenset("a")},
        "r": {"a": frozenset("b"), "b": frozenset("ad"), "d": frozenset("b")},
    }
    assert links_of("a", overlays) == {"b": (SliceLink("r", 1), SliceLink("z", 2)), "c": (SliceLink("z", 2),)}
    assert list(links_of("b", overlays)) == ["a", "d"]
    assert links_of("x", overlays) == {}


PRINTED = """
import json
from concord.overlay import links_of, slice_overlays
agents = [f"agent-{k}" for k in range(13)]
holders = {"all": frozenset(agents), "audio": frozenset(agents[::3]), "video": frozenset(agents[:6])}
for kind in ("ring", "chordal-ring", "random-regular", "complete"):
    overlays = slice_overlays(holders, kind, 4, 7)
    links = {a: [(b, [vars(link) for link in shared]) for b, shared in links_of(a, overlays).items()] for a in agents}
    print(json.dumps([list(overlays), {s: list(graph) for s, graph in overlays.items()}, links]))
"""


@pytest.mark.process
def test_every_process_finds_the_same_overlays() -> None:
    def printed(hash_seed: str) -> str:
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", PRINTED], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    first = printed("1")
    assert len(first.splitlines()) == len(KINDS)
    assert printed("2") == first


def test_overlays_are_those_of_every_machine_and_version() -> None:
    """Written down once: who changes them changes the figures of all runs without a server."""
    found = {
        kind: " ".join(sorted("".join(sorted(link)) for link in links(build_overlay(kind, "abcdefgh", 4, 7)))) for kind in KINDS
    }
    assert found == {
        "ring": "ac ad be bg ce df fh gh",
        "chordal-ring": "ab ac ad ah be bf bg ce cf cg de df dg eh fh gh",
        "random-regular": "ab ac ad af be bg bh cd ce cg de df eh fg fh gh",
        "complete": " ".join("".join(pair) for pair in itertools.combinations("abcdefgh", 2)),
    }
