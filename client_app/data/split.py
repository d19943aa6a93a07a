"""Deals the samples of one modality out to nodes, tests and anchors: pure, and the same for the same seed.

Nothing is in two places. Samples with equal features count as one sample, whatever their ids: the first by role
(nodes, then anchors, then the unseen test) is kept, and none where their labels disagree. Spelled-out words need
this, since related languages share many.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client_app.data.corpus import Corpus
from client_app.data.suite import Modality
from concord.samples import Samples

Index = NDArray[np.int64]

ANCHORS_PER_CONCEPT = 10
TRAIN_CAP = 1000  # per node: sweeps over methods and seeds stay cheap
TEST_CAP = 500  # per modality and split, over all nodes
TEST_SHARE = 0.2  # of a node's samples, where the pack has no test split of its own


@dataclass(frozen=True)
class Split:
    """The samples of one modality; the keys of `train` and `random` are the names of the nodes."""

    anchors: Samples
    train: Mapping[str, Samples]
    random: Mapping[str, Samples]
    unseen: Samples


def split(corpus: Corpus, modality: Modality, concepts: int, seed: int) -> Split:
    """Draws anchors, training and test samples of one modality by seed."""
    rng = np.random.default_rng([seed, zlib.crc32(modality.name.encode())])
    held = distinct(corpus, roles(modality))
    official = {name: held[name][corpus.official_test.numpy()[held[name]]] for name in modality.nodes}
    rest = {name: np.setdiff1d(held[name], official[name]) for name in modality.nodes}
    anchors = _draw_anchors(held["anchors"] if modality.anchors else np.concatenate([*rest.values()]), corpus, concepts, rng)
    unseen = _draw_by_owner(held["unseen"], corpus, TEST_CAP, rng)
    quota = TEST_CAP // len(modality.nodes)
    train, random = {}, {}
    for name in modality.nodes:
        index = np.setdiff1d(rest[name], anchors)
        if official[name].size:
            test = _draw_by_owner(official[name], corpus, quota, rng)
        else:
            test = _draw_by_label(index, corpus, min(quota, round(TEST_SHARE * index.size)), rng)
        random[name] = _take(corpus, test)
        train[name] = _take(corpus, rng.permutation(np.setdiff1d(index, test))[:TRAIN_CAP])
    return Split(_take(corpus, anchors), train, random, _take(corpus, unseen))


def roles(modality: Modality) -> dict[str, str]:
    """Per owner its role: the name of a node, ``anchors`` or ``unseen``; in the order in which roles claim samples."""
    dealt = [*modality.nodes.items(), ("anchors", modality.anchors), ("unseen", modality.unseen)]
    by_owner: dict[str, str] = {}
    for role, owners in dealt:
        for owner in owners:
            if owner in by_owner:
                raise ValueError(f"{modality.name}: owner {owner!r} is both {by_owner[owner]} and {role}")
            by_owner[owner] = role
    return by_owner


def distinct(corpus: Corpus, role_of: Mapping[str, str]) -> dict[str, Index]:
    """Per role the samples that it keeps once samples with equal features are counted as one; empty for a role without any."""
    claim = {role: rank for rank, role in enumerate(dict.fromkeys(role_of.values()))}
    used = [i for i, owner in enumerate(corpus.owners) if owner in role_of]
    used.sort(key=lambda i: claim[role_of[corpus.owners[i]]])
    x_rows = corpus.samples.x.numpy()
    first: dict[bytes, int] = {}
    contradicted: set[int] = set()
    for i in used:
        kept = first.setdefault(x_rows[i].tobytes(), i)
        if corpus.samples.y[kept] != corpus.samples.y[i]:
            contradicted.add(kept)
    by_role: dict[str, list[int]] = defaultdict(list)
    for i in first.values():
        if i not in contradicted:
            by_role[role_of[corpus.owners[i]]].append(i)
    return defaultdict(lambda: np.empty(0, np.int64), {role: np.array(index, np.int64) for role, index in by_role.items()})


def draw_evenly(index: Index, strata: Sequence[Hashable], count: int, rng: np.random.Generator) -> Index:
    """Up to `count` of `index` [N], by turns from each stratum: `strata` [N] says which one a sample is in."""
    order = rng.permutation(index.size)
    turns: dict[Hashable, int] = defaultdict(int)
    turn_N = np.empty(index.size, np.int64)
    for position, i in enumerate(order):
        turn_N[position] = turns[strata[i]]
        turns[strata[i]] += 1
    return index[order[np.argsort(turn_N, kind="stable")[:count]]]


def shard(samples: Samples, part: int, parts: int) -> Samples:
    """Part `part` of `parts` disjoint shards that together cover `samples`."""
    return samples.take(range(part, len(samples), parts))


def _take(corpus: Corpus, index: Index) -> Samples:
    """The samples at `index`, in the order of the corpus."""
    return corpus.samples.take(np.sort(index).tolist())


def _draw_anchors(pool: Index, corpus: Corpus, concepts: int, rng: np.random.Generator) -> Index:
    """`ANCHORS_PER_CONCEPT` of each concept, spread over as many owners as there are."""
    y_N = corpus.samples.y.numpy()
    drawn = []
    for concept in range(concepts):
        candidates = pool[y_N[pool] == concept]
        drawn.append(draw_evenly(candidates, [corpus.owners[i] for i in candidates], ANCHORS_PER_CONCEPT, rng))
    return np.concatenate(drawn)


def _draw_by_label(index: Index, corpus: Corpus, count: int, rng: np.random.Generator) -> Index:
    return draw_evenly(index, corpus.samples.y[index].tolist(), count, rng)


def _draw_by_owner(index: Index, corpus: Corpus, count: int, rng: np.random.Generator) -> Index:
    return draw_evenly(index, [(corpus.owners[i], int(corpus.samples.y[i])) for i in index], count, rng)
