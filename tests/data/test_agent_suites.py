"""The suites of agents without a server: who holds what, whole tests, pooling; on made-up windows, and some on the real pack."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from client_app.data.activity import PEOPLE, UNSEEN_PEOPLE
from client_app.data.activity_agents import AGENTS, AGENTS_THREE, AGENTS_VALIDATION
from client_app.data.corpus import Corpus, make_corpus
from client_app.data.federation import build_federation, pool
from client_app.data.node_data import NodeData
from client_app.data.node_folder import Origin, load_node, save_node
from client_app.data.paired import deal_pairs, one_or_all, single_kinds
from client_app.data.suite import PairedSuite
from concord.anchors import AnchorSet
from concord.config import RunConfig
from concord.samples import Samples, concatenate
from concord.scenario import Scenario, parse_scenario

Held = dict[str, tuple[str, ...]]
SUITES = {suite.name: suite for suite in (AGENTS, AGENTS_THREE, AGENTS_VALIDATION)}
SCENARIOS = ("labelled", "multimodal=0.25", "multimodal=0.5+unbalanced", "multimodal=0.75+skew=0.1", "missing=0.5")
SEEDS = st.integers(0, 1000)
SHARES = st.floats(0, 1, exclude_min=True)


@lru_cache
def made_up(view: int) -> Corpus:
    """15 windows an activity and person, as in the pack, of two numbers each."""
    names = [(activity, person, window) for person in range(1, 9) for activity in range(19) for window in range(15)]
    x = torch.stack([torch.arange(len(names)).float(), torch.full((len(names),), float(view))], 1)
    ids = [f"activity/a{activity + 1:02}-p{person}-s{window:02}" for activity, person, window in names]
    return make_corpus(x, [activity for activity, _, _ in names], ids, [f"subject-{person}" for _, person, _ in names])


@lru_cache
def dealt(suite: str, scenario: str, seed: int) -> tuple[tuple[NodeData, ...], dict[str, Samples]]:
    found = SUITES[suite]
    parsed = parse_scenario(scenario, found.modality_names, found.refused)
    return deal_pairs(found, {m: made_up(view) for view, m in enumerate(found.modality_names)}, parsed, seed)


def person(i: str) -> str:
    return f"subject-{i.split('-')[1][1:]}"


def trained(node: NodeData) -> tuple[str, ...]:
    return next(iter(node.train.values())).ids


def by_owner(suite: PairedSuite, held: Held) -> dict[str, list[tuple[str, ...]]]:
    return {
        owner: [held[a] for a, h in suite.nodes.items() if h.owner == owner] for owner in {h.owner for h in suite.nodes.values()}
    }


def spread(counts: Iterable[int]) -> int:
    return max(listed := list(counts)) - min(listed)


def test_sixteen_agents_of_the_people_who_are_not_unseen() -> None:
    for suite, of in ((AGENTS, [3, 3, 3, 3, 2, 2]), (AGENTS_THREE, [3, 3, 3, 3, 2, 2]), (AGENTS_VALIDATION, [4, 3, 3, 3, 3])):
        assert len(suite.nodes) == 16
        assert Counter(holder.owner for holder in suite.nodes.values()) == dict(zip(PEOPLE, of, strict=False))
        assert {holder.modalities for holder in suite.nodes.values()} == {suite.modality_names}
        assert not {*suite.unseen} & {holder.owner for holder in suite.nodes.values()}
    assert AGENTS.unseen == AGENTS_THREE.unseen == UNSEEN_PEOPLE
    assert AGENTS_VALIDATION.unseen == ("subject-6",)
    assert AGENTS.modality_names == AGENTS_VALIDATION.modality_names == ("accelerometer", "gyroscope")
    assert AGENTS_THREE.modality_names == ("accelerometer", "gyroscope", "magnetometer")


@pytest.mark.parametrize(
    ("suite", "share", "unbalanced", "alone"),
    [
        (AGENTS, 0.25, False, (6, 6)),
        (AGENTS, 0.5, False, (4, 4)),
        (AGENTS, 0.75, False, (2, 2)),
        (AGENTS, 0.25, True, (9, 3)),
        (AGENTS, 0.5, True, (6, 2)),
        (AGENTS, 0.75, True, (3, 1)),
        (AGENTS, 0.001, False, (8, 7)),
        (AGENTS, 1.0, True, (0, 0)),
        (AGENTS_VALIDATION, 0.25, False, (6, 6)),
        (AGENTS_VALIDATION, 0.5, True, (6, 2)),
        (AGENTS_THREE, 0.25, False, (4, 4, 4)),
        (AGENTS_THREE, 0.5, False, (3, 3, 2)),
        (AGENTS_THREE, 0.75, False, (2, 1, 1)),
        (AGENTS_THREE, 0.25, True, (9, 2, 1)),
        (AGENTS_THREE, 0.5, True, (6, 1, 1)),
        (AGENTS_THREE, 0.75, True, (3, 1, 0)),
    ],
)
def test_how_many_hold_all_and_how_many_each_alone(
    suite: PairedSuite, share: float, unbalanced: bool, alone: tuple[int, ...]
) -> None:
    for seed in range(20):
        kinds = Counter(one_or_all(suite, share, unbalanced=unbalanced, seed=seed).values())
        assert tuple(kinds[(m,)] for m in suite.modality_names) == alone
        assert kinds[suite.modality_names] == 16 - sum(alone) >= 1
        assert kinds.total() == 16


@given(shares=st.lists(SHARES, min_size=2, max_size=5).map(sorted), suite=st.sampled_from([*SUITES]), seed=SEEDS)
def test_who_holds_all_at_one_share_does_at_a_higher_one_balanced_or_not(shares: list[float], suite: str, seed: int) -> None:
    def hold_all(share: float, unbalanced: bool) -> set[str]:
        held = one_or_all(SUITES[suite], share, unbalanced=unbalanced, seed=seed)
        return {name for name, modalities in held.items() if len(modalities) > 1}

    for less, more in pairwise(shares):
        assert hold_all(less, False) <= hold_all(more, True)
        assert hold_all(less, True) == hold_all(less, False)


@given(share=SHARES, suite=st.sampled_from([*SUITES]), seed=SEEDS)
def test_people_and_kinds_are_spread(share: float, suite: str, seed: int) -> None:
    found = SUITES[suite]
    agents = by_owner(found, one_or_all(found, share, unbalanced=False, seed=seed)).values()
    most = max(sum(len(held) > 1 for held in of_one) for of_one in agents)
    for of_one in agents:
        assert sum(len(held) > 1 for held in of_one) >= min(most - 1, len(of_one))
        assert spread(of_one.count((m,)) for m in found.modality_names) <= 1


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_unbalanced_the_rarer_sensors_are_with_different_people(share: float) -> None:
    for seed in range(50):
        held = one_or_all(AGENTS, share, unbalanced=True, seed=seed)
        assert max(of_one.count(("gyroscope",)) for of_one in by_owner(AGENTS, held).values()) == 1


def test_the_seed_draws_who_holds_what() -> None:
    drawn = [one_or_all(AGENTS, 0.25, unbalanced=False, seed=seed) for seed in range(200)]
    assert drawn[7] == one_or_all(AGENTS, 0.25, unbalanced=False, seed=7)
    kinds = {name: Counter(held[name] for held in drawn) for name in AGENTS.nodes}
    for of_agent in kinds.values():  # 4, 6 and 6 of 16
        assert all(0.12 < of_agent[kind] / 200 < 0.55 for kind in (AGENTS.modality_names, ("accelerometer",), ("gyroscope",)))


@given(count=st.integers(0, 50), modalities=st.integers(2, 5), unbalanced=st.booleans())
def test_kinds_are_even_or_three_quarters_are_the_first(count: int, modalities: int, unbalanced: bool) -> None:
    kinds = single_kinds("abcde"[:modalities], count, unbalanced=unbalanced)
    assert len(kinds) == count
    if unbalanced:
        assert kinds.count("a") == round(0.75 * count)
    assert spread(kinds.count(m) for m in "abcde"[unbalanced:modalities]) <= 1


@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("suite", SUITES)
def test_nobody_trains_on_what_is_tested_or_public_or_unseen(suite: str, scenario: str, seed: int) -> None:
    nodes, anchors = dealt(suite, scenario, seed)
    ids = [i for node in nodes for i in trained(node)]
    assert len(ids) == len({*ids})
    tests = {i for node in nodes for tests in node.tests.values() for samples in tests.values() for i in samples.ids}
    public = [i for samples in anchors.values() for i in samples.ids]
    assert len(public) == len({*public}) == 2 * 19 * len(anchors)
    assert not {*ids} & ({*public} | tests)
    assert not {*public} & tests
    people = {holder.owner for holder in SUITES[suite].nodes.values()}
    assert {person(i) for i in [*ids, *public]} == people
    for node in nodes:
        assert {person(i) for i in trained(node)} == {SUITES[suite].nodes[node.name].owner}
        assert len(trained(node)) >= 24
        assert len({samples.ids for samples in node.train.values()}) == 1


@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("suite", SUITES)
def test_every_agent_tests_all_unseen_windows_and_its_own_part_of_the_others(suite: str, scenario: str, seed: int) -> None:
    nodes, _ = dealt(suite, scenario, seed)
    unseen = [i for i, owner in zip(made_up(0).samples.ids, made_up(0).owners, strict=True) if owner in SUITES[suite].unseen]
    own = [i for node in nodes for i in node.joint["random"]]
    assert len(own) == len({*own})
    for node in nodes:
        assert list(node.joint["unseen"]) == unseen
        assert {person(i) for i in node.joint["random"]} == {SUITES[suite].nodes[node.name].owner}
        for split, tests in node.tests.items():
            assert tests.keys() == node.train.keys()
            assert all(samples.ids == node.joint[split] for samples in tests.values())
    persons = {owner: sum(map(len, (n.joint["random"] for n in nodes if n.name.startswith(owner)))) for owner in PEOPLE}
    of_all = {owner: sum(len(trained(n)) + len(n.joint["random"]) for n in nodes if n.name.startswith(owner)) for owner in PEOPLE}
    assert all(persons[owner] == round(0.2 * of_all[owner]) for owner in PEOPLE)


@pytest.mark.parametrize("suite", SUITES)
def test_who_holds_what_changes_no_sample(suite: str) -> None:
    whole, anchors = dealt(suite, "labelled", 5)
    for scenario in ("multimodal=0.25", "multimodal=0.25+unbalanced", "multimodal=0.75"):
        nodes, same = dealt(suite, scenario, 5)
        assert {m: samples.ids for m, samples in same.items()} == {m: samples.ids for m, samples in anchors.items()}
        assert [(n.name, trained(n), n.joint) for n in nodes] == [(n.name, trained(n), n.joint) for n in whole]
        for node, full in zip(nodes, whole, strict=True):
            assert all(samples.x.equal(full.train[m].x) for m, samples in node.train.items())


def test_shares_of_people_are_even_without_skew() -> None:
    for suite in SUITES.values():
        nodes, _ = dealt(suite.name, "multimodal=0.5", 1)
        for owner in {holder.owner for holder in suite.nodes.values()}:
            assert spread(len(trained(node)) for node in nodes if node.name.startswith(owner)) <= 1


def test_the_same_seed_gives_the_same_deal_and_another_one_does_not() -> None:
    corpora = {m: made_up(view) for view, m in enumerate(AGENTS.modality_names)}
    deals = [deal_pairs(AGENTS, corpora, Scenario(multimodal=0.5), seed) for seed in (0, 0, 1)]
    first, again, other = ([[n.name, [*n.train], trained(n), n.joint] for n in nodes] for nodes, _ in deals)
    assert first == again
    assert [row[2] for row in other] != [row[2] for row in first]
    assert [row[1] for row in other] != [row[1] for row in first]


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("suite", SUITES)
def test_pooling_counts_each_test_instance_once(suite: str, scenario: str) -> None:
    nodes, _ = dealt(suite, scenario, 0)
    pooled = pool(nodes)
    for m in SUITES[suite].modality_names:
        holders = [node for node in nodes if m in node.train]
        assert pooled.train[m].ids == tuple(i for node in holders for i in node.train[m].ids)
        for split, tests in pooled.tests.items():
            everything = concatenate([node.tests[split][m] for node in holders])
            assert len(tests[m].ids) == len({*tests[m].ids})
            assert {*tests[m].ids} == {*everything.ids}
            x, y = dict(zip(everything.ids, everything.x, strict=True)), dict(zip(everything.ids, everything.y, strict=True))
            assert all(
                x[i].equal(row) and y[i].equal(label) for i, row, label in zip(tests[m].ids, tests[m].x, tests[m].y, strict=True)
            )
    assert pooled.joint["unseen"] == nodes[0].joint["unseen"]
    complete = [node for node in nodes if len(node.train) == len(SUITES[suite].modality_names)]
    assert pooled.joint["random"] == tuple(i for node in complete for i in node.joint["random"])
    if scenario == "labelled":
        assert {*pooled.joint["random"]} == {*pooled.tests["random"]["gyroscope"].ids}


def test_an_agents_folder_comes_back(tmp_path: Path) -> None:
    scenario = "multimodal=0.25+unbalanced"
    nodes, public = dealt("activity-agents", scenario, 0)
    anchors = AnchorSet(AGENTS.concepts, public)
    config = RunConfig(suite="activity-agents", scenario=scenario)
    for kind in (("accelerometer",), ("gyroscope",), AGENTS.modality_names):
        node = next(node for node in nodes if tuple(node.train) == kind)
        assert save_node(tmp_path / node.name, node, anchors, Origin("activity-agents", 0, scenario))
        found, with_anchors = load_node(tmp_path / node.name, config, pooled=False)
        assert with_anchors.digest == anchors.digest
        assert (found.name, tuple(found.train), found.joint) == (node.name, kind, node.joint)
        for split, tests in node.tests.items():
            assert {m: s.ids for m, s in found.tests[split].items()} == {m: s.ids for m, s in tests.items()}


@pytest.mark.parametrize(
    ("suite", "unseen"), [("activity-agents", 570), ("activity-agents-three", 570), ("activity-agents-validation", 285)]
)
def test_the_real_pack(suite: str, unseen: int, dsads: Path) -> None:
    federation = build_federation(suite, dsads, 0, "multimodal=0.5+unbalanced")
    assert len(federation.nodes) == 16
    assert len({node.joint["unseen"] for node in federation.nodes}) == 1
    assert len(federation.nodes[0].joint["unseen"]) == unseen
    assert {person(i) for i in federation.nodes[0].joint["unseen"]} == {*SUITES[suite].unseen}
    assert sum(len(node.train) > 1 for node in federation.nodes) == 8
    assert min(len(trained(node)) for node in federation.nodes) >= 50
    used = {i for node in federation.nodes for i in trained(node)}
    public = {i for m in federation.modalities for i in federation.anchors.of(m).ids}
    assert not used & public
    assert not {person(i) for i in used | public} & {*UNSEEN_PEOPLE, *SUITES[suite].unseen}
    for m in federation.modalities:
        assert federation.anchors.of(m).y.bincount().tolist() == [2] * 19
    (pooled,) = build_federation(suite, dsads, 0, "multimodal=0.5+unbalanced", pooled=True).nodes
    assert {len(samples) for samples in pooled.tests["unseen"].values()} == {unseen} == {len(pooled.joint["unseen"])}
