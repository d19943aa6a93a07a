"""Deals the instances of a paired suite out to nodes, tests and anchors: pure, and the same for the same seed.

An instance has one role in all its modalities: training at one node, test, anchor, or none. Who trains on it and who tests
it does not depend on which modalities are missing, so figures at different rates are of the same instances:

- A fifth of each owner's instances, as evenly by label as it goes, is the ``random`` test; the rest is training. Both are
  shared out to the owner's nodes.
- The instances of unseen owners are shared out to all nodes.
- A node tests its own part in the modalities that it holds. In a modality that it lacks, its part is dealt evenly to the
  nodes that hold it, on top of their own: in each modality the tests of all holders cover the split.
- In a suite with `whole_tests` every node tests all instances of unseen owners instead, and as ``random`` its own part
  alone, in the modalities that it holds.

Instances that equal an earlier one in one modality are left out in all.

Legend: N instances, C concepts, K nodes of an owner.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

from client_app.data.corpus import Corpus
from client_app.data.missing import drop_modalities
from client_app.data.node_data import NodeData
from client_app.data.split import TEST_SHARE, Index, draw_evenly
from client_app.data.suite import PairedSuite
from concord.errors import ConcordError
from concord.samples import Samples
from concord.scenario import Scenario
from concord.seeding import derive_seed

FIRST_SHARE = 0.75  # of the nodes with one modality: those that hold the first one, where kinds are unbalanced
SMALLEST_PART = 0.5  # of an even part: the least that label skew leaves to a node
TRIES = 200

Shares = NDArray[np.float64]


@dataclass(frozen=True)
class Deal:
    """Instances by modality (anchors), by node (train), by split and node (joint)."""

    anchors: Mapping[str, Index]
    train: Mapping[str, Index]
    joint: Mapping[str, Mapping[str, Index]]


def deal_pairs(
    suite: PairedSuite, corpora: Mapping[str, Corpus], scenario: Scenario, seed: int
) -> tuple[tuple[NodeData, ...], dict[str, Samples]]:
    """The nodes of a paired suite, and the anchors of each modality.

    Args:
        corpora: per modality; all have the same instances (ids, labels, owners) in the same order.

    Raises:
        ConcordError: C203 for a node without training samples.
    """
    first = next(iter(corpora.values()))
    if any(c.samples.ids != first.samples.ids or c.owners != first.owners for c in corpora.values()):
        raise ValueError(f"suite {suite.name}: the modalities do not have the same instances")
    dealt = deal(suite, first, distinct_instances([c.samples for c in corpora.values()]), scenario.skew, seed)
    if scenario.multimodal < 1:
        held = one_or_all(suite, scenario.multimodal, unbalanced=scenario.unbalanced, seed=seed)
    else:
        could = {name: holder.modalities for name, holder in suite.nodes.items()}
        held = drop_modalities(could, scenario.missing, seed, suite.name)
    tests = {}
    for m in suite.modality_names:
        holders = [node for node, modalities in held.items() if m in modalities]
        for split, parts in dealt.joint.items():
            tested = {node: parts[node] for node in holders} if suite.whole_tests else parts_to_test(parts, holders)
            tests[split, m] = _take_each(corpora[m], tested)
    nodes = []
    for node, modalities in held.items():
        if not dealt.train[node].size:
            raise ConcordError(
                "C203",
                f"node {node} has no training sample: {suite.nodes[node].owner} has too few in the data",
                "run `concord data check`; the files may hold only a part of the pack",
            )
        train = {m: _take(corpora[m], dealt.train[node]) for m in modalities}
        shards = {split: {m: tests[split, m][node] for m in modalities} for split in dealt.joint}
        joint = {split: _take(first, parts[node]).ids for split, parts in dealt.joint.items()}
        nodes.append(NodeData(node, train, shards, joint))
    return tuple(nodes), {m: _take(corpora[m], index) for m, index in dealt.anchors.items()}


def deal(suite: PairedSuite, corpus: Corpus, usable: Index, skew: float | None, seed: int) -> Deal:
    """Which of the `usable` instances go where; `corpus` is that of any modality."""
    y_N, owner_N = corpus.samples.y.numpy(), np.asarray(corpus.owners)
    anchors = draw_anchors(suite, corpus, usable, seed)
    free = np.setdiff1d(usable, np.concatenate([*anchors.values()]))
    train: dict[str, Index] = {}
    random: dict[str, Index] = {}
    for owner in dict.fromkeys(holder.owner for holder in suite.nodes.values()):
        names = [name for name, holder in suite.nodes.items() if holder.owner == owner]
        rng = np.random.default_rng(derive_seed(seed, suite.name, "deal", owner))
        index = free[owner_N[free] == owner]
        test = draw_evenly(index, y_N[index].tolist(), round(TEST_SHARE * index.size), rng)
        train_groups, test_groups = (_by_label(part, y_N, rng) for part in (np.setdiff1d(index, test), test))
        if skew is None:
            train_parts, test_parts = _deal_by_turns(train_groups, len(names)), _deal_by_turns(test_groups, len(names))
        else:
            share_CK = draw_shares(train_groups, len(names), len(suite.concepts), skew, rng)
            train_parts, test_parts = cut(train_groups, share_CK), cut(test_groups, share_CK)
        train |= zip(names, train_parts, strict=True)
        random |= zip(names, test_parts, strict=True)
    unseen = free[np.isin(owner_N[free], suite.unseen)]
    shards = {name: unseen if suite.whole_tests else unseen[part :: len(suite.nodes)] for part, name in enumerate(suite.nodes)}
    return Deal(anchors, train, {"random": random, "unseen": shards})


def draw_anchors(suite: PairedSuite, corpus: Corpus, usable: Index, seed: int) -> dict[str, Index]:
    """Per modality the instances that are its anchors: other ones in each modality, by turns from all owners."""
    y_N, owner_N = corpus.samples.y.numpy(), np.asarray(corpus.owners)
    several = suite.anchors_per_concept * len(suite.modalities)
    anchors = {}
    for rank, modality in enumerate(suite.modalities):
        owners = modality.anchors or tuple({holder.owner for holder in suite.nodes.values()})
        pool = usable[np.isin(owner_N[usable], owners)]
        begin = 0 if modality.anchors else rank * suite.anchors_per_concept  # all that share a pool draw the same, and divide it
        drawn = []
        for concept in range(len(suite.concepts)):
            candidates = pool[y_N[pool] == concept]
            rng = np.random.default_rng(derive_seed(seed, suite.name, "anchors", concept))
            by_turns = draw_evenly(candidates, owner_N[candidates].tolist(), several, rng)
            drawn.append(by_turns[begin : begin + suite.anchors_per_concept])
        anchors[modality.name] = np.concatenate(drawn)
    return anchors


def one_or_all(suite: PairedSuite, share: float, *, unbalanced: bool, seed: int) -> dict[str, tuple[str, ...]]:
    """Per node the modalities that it holds, where a `share` of the nodes hold all and each of the others holds one.

    Those who hold all, one at least, are drawn by turns from all owners, in an order in which the share has no part: who
    holds all at one share does at a higher one. The others are gone through owner by owner, so that what `single_kinds`
    gives to the nodes of one owner is as varied as it can be.
    """
    names, owners = list(suite.nodes), [holder.owner for holder in suite.nodes.values()]
    rng = np.random.default_rng(derive_seed(seed, suite.name, "multimodal"))
    drawn = draw_evenly(np.arange(len(names)), owners, len(names), rng).tolist()
    several = max(1, round(share * len(names)))
    rank = {owner: turn for turn, owner in enumerate(dict.fromkeys(owners[i] for i in drawn))}
    others = sorted(drawn[several:], key=lambda i: rank[owners[i]])
    kinds = dict(zip(others, single_kinds(suite.modality_names, len(others), unbalanced=unbalanced), strict=True))
    return {name: (kinds[i],) if i in kinds else suite.nodes[name].modalities for i, name in enumerate(names)}


def single_kinds(modalities: Sequence[str], count: int, *, unbalanced: bool) -> list[str]:
    """The modality of each of `count` nodes that hold one: by turns.

    Unbalanced, three quarters (rounded) hold the first modality; the others, by turns, lie evenly between them.
    """
    if not unbalanced:
        return [modalities[i % len(modalities)] for i in range(count)]
    rest, turns = count - round(FIRST_SHARE * count), cycle(modalities[1:])
    return [next(turns) if (i + 1) * rest // count > i * rest // count else modalities[0] for i in range(count)]


def draw_shares(groups: Mapping[int, Index], parts: int, concepts: int, skew: float, rng: np.random.Generator) -> Shares:
    """The share of each class that each of `parts` nodes gets [C, K], Dirichlet with concentration `skew`.

    Drawn anew, up to 200 times, while a node has less than half of an even part (as Li et al. 2022, arXiv:2102.02079, do
    with a smallest size); even shares where no draw does. The smaller `skew`, the fewer nodes know a class.
    """
    least = SMALLEST_PART * sum(group.size for group in groups.values()) / parts
    for _ in range(TRIES):
        share_CK: Shares = rng.dirichlet([skew] * parts, concepts)
        if np.isfinite(share_CK).all() and min(part.size for part in cut(groups, share_CK)) >= least:
            return share_CK
    return np.full((concepts, parts), 1 / parts)


def cut(groups: Mapping[int, Index], share_CK: Shares) -> list[Index]:
    """K parts of instances grouped by label: each label is cut in the shares of its row, rounded."""
    pieces = [
        np.split(group, np.rint(np.cumsum(share_CK[label])[:-1] * group.size).astype(np.int64)) for label, group in groups.items()
    ]
    return [_sorted(of_part) for of_part in zip(*pieces, strict=True)] or [_sorted([])] * share_CK.shape[1]


def parts_to_test(joint: Mapping[str, Index], holders: Sequence[str]) -> dict[str, Index]:
    """Per holder of a modality the instances that it tests: its own part, and an even share of those who lack it."""
    left = _sorted([part for node, part in joint.items() if node not in holders])
    return {node: _sorted([joint[node], left[turn :: len(holders)]]) for turn, node in enumerate(holders)}


def distinct_instances(views: Sequence[Samples]) -> Index:
    """The instances that equal no earlier one in any modality, nor in name; `views` are the modalities of the same instances."""
    seen: set[tuple[int, str | bytes]] = set()
    kept = []
    for i in range(len(views[0])):
        rows: set[tuple[int, str | bytes]] = {(rank, view.x[i].numpy().tobytes()) for rank, view in enumerate(views)}
        rows.add((0, views[0].ids[i]))
        if not rows & seen:
            kept.append(i)
        seen |= rows
    return np.array(kept, np.int64)


def _by_label(index: Index, y_N: NDArray[np.int64], rng: np.random.Generator) -> dict[int, Index]:
    """Per label its instances in random order."""
    order = rng.permutation(index)
    return {label: order[y_N[order] == label] for label in np.unique(y_N[index]).tolist()}


def _deal_by_turns(groups: Mapping[int, Index], parts: int) -> list[Index]:
    """`parts` parts whose sizes differ by one at most, in all and in each label."""
    in_order = np.concatenate([np.empty(0, np.int64), *groups.values()])
    return [np.sort(in_order[part::parts]) for part in range(parts)]


def _sorted(parts: Sequence[Index]) -> Index:
    """All of `parts`, in the order of the corpus."""
    return np.sort(np.concatenate([np.empty(0, np.int64), *parts]))


def _take_each(corpus: Corpus, parts: Mapping[str, Index]) -> dict[str, Samples]:
    """Per node its part; nodes with the same part share one copy."""
    taken = {index.tobytes(): _take(corpus, index) for index in parts.values()}
    return {node: taken[index.tobytes()] for node, index in parts.items()}


def _take(corpus: Corpus, index: Index) -> Samples:
    return corpus.samples.take(np.sort(index).tolist())
