"""A folder of own data as the data of one node of a run.

Legend: N samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor

from client_app.data.cache import cache_folder
from client_app.data.node_data import NodeData
from client_app.data.own.advance import Advance, silent
from client_app.data.own.entry import Entry
from client_app.data.own.features import features
from client_app.data.own.index import entries_of, read_entries
from client_app.data.own.layout import Dataset, Source, read_dataset
from client_app.data.own.roles import Role, roles_of
from client_app.data.preparation.preparation import Preparation
from client_app.data.suite import OF_GRAPHS
from client_app.encoders import encoder_of
from client_app.files.unreadable import printable
from concord.anchors import AnchorSet
from concord.config import AGENTS, RunConfig
from concord.errors import ConcordError
from concord.own import check_encoders
from concord.samples import NO_LABEL, Samples
from concord.scenario import parse_scenario

TOGETHER = 32  # samples in memory at once, for encoders that take many faster than one by one
TESTS: tuple[Role, ...] = ("random", "unseen")
_DEALT = "own data are where their owners have them, nothing is dealt"
REFUSED = MappingProxyType(dict.fromkeys(("disjoint-labels", "missing", "multimodal", "unbalanced", "skew"), _DEALT) | OF_GRAPHS)


def load_own(
    folder: Path, config: RunConfig, anchors: AnchorSet, kept: Path | None = None, advance: Advance = silent
) -> NodeData:
    """The data of a node; features that are not on disk yet are made, in the folder `kept` or the cache of this machine.

    Raises:
        ConcordError: C103 a method of agents, C203 nothing to train on, C204 a scenario that makes no sense here, C205 a
            folder that cannot be understood, C206 a sample that cannot be read, C207 a label that is no concept, C302 a
            modality without anchors, C303 anchors that were prepared for others than the run's encoders.
    """
    if config.method in AGENTS:
        raise ConcordError("C103", f"suite own is not for {config.method}, which needs no server", "choose another method")
    check_encoders(config, anchors)
    scenario = parse_scenario(config.scenario, tuple(anchors.modalities), REFUSED)
    dataset = read_dataset(folder)
    sources = sources_by_modality(dataset, anchors)
    entries = {modality: entries_of(folder, source) for modality, source in sources.items()}
    role_of = roles_of((entry for listed in entries.values() for entry in listed), config.seed)
    train: dict[str, Samples] = {}
    tests: dict[str, dict[str, Samples]] = {role: {} for role in TESTS}
    for modality, listed in entries.items():
        parts = _by_role(listed, role_of)
        if not parts["train"]:
            continue
        ordered = [entry for part in parts.values() for entry in part]
        y_N = _classes(dataset, ordered, anchors.concepts)
        x = _features(dataset, modality, sources[modality], ordered, config, kept or cache_folder() / "own", advance)
        samples = Samples(x, y_N, tuple(f"{dataset.name}/{entry.id}" for entry in ordered))
        learnt, *tested = _consecutive(samples, [len(part) for part in parts.values()])
        hidden = scenario.kind == "unlabelled" and scenario.modality == modality
        train[modality] = learnt.without_labels() if hidden else learnt
        for role, part in zip(TESTS, tested, strict=True):
            tests[role][modality] = part
    if not train:
        raise ConcordError("C203", f"{folder} holds no training sample", "see `concord data check FOLDER`")
    joint = {role: _in_all(parts.values()) for role, parts in tests.items()} if len(train) > 1 else {}
    return NodeData(dataset.name, train, tests, joint)


def sources_by_modality(dataset: Dataset, anchors: AnchorSet) -> dict[str, Source]:
    """The modalities by the names that the anchors have for them; one found by its kind is the only one of that kind.

    Raises:
        ConcordError: C302, where the anchors have no such modality; C205, where they have several of the kind; C303, where
            the folder names another encoder.
    """
    if dataset.named:
        named = dict(dataset.sources)
    else:
        named = {_name_of(kind, dataset, anchors): source for kind, source in dataset.sources.items()}
    for modality, source in named.items():
        anchors.of(modality)
        wanted = anchors.encoders.get(modality, "")
        if source.encoder not in ("", wanted, wanted.partition(":")[0]):  # `series` is any number of channels
            what = f"{dataset.folder}: {modality} is for encoder {source.encoder}, the anchors are for {wanted}"
            raise ConcordError("C303", what, "take the encoder out of dataset.toml, or build the anchors for it")
    return named


def _name_of(kind: str, dataset: Dataset, anchors: AnchorSet) -> str:
    if kind in anchors.modalities:
        return kind
    from client_app.data.preparation.registry import preparation_of  # a second to import, and mostly not needed

    names = [modality for modality, encoder in anchors.encoders.items() if preparation_of(encoder).kind == kind]
    if len(names) != 1:
        have = f"the anchors have {', '.join(names) or 'no modality'} of that kind"
        hint = "say in dataset.toml which modality it is (docs/own-data.md)"
        raise ConcordError("C205" if names else "C302", f"{dataset.folder} holds samples of kind {kind}, and {have}", hint)
    return names[0]


def _by_role(entries: Sequence[Entry], role_of: Mapping[str, Role]) -> dict[Role, list[Entry]]:
    """The samples to learn from, then those of each test; only what has a label can be tested."""
    parts: dict[Role, list[Entry]] = {"train": [], **{role: [] for role in TESTS}}
    for entry in entries:
        role = role_of[entry.id]
        if role == "train" or entry.label is not None:
            parts[role].append(entry)
    return parts


def _classes(dataset: Dataset, entries: Sequence[Entry], concepts: Sequence[str]) -> Tensor:
    """The class of each sample, [N]."""
    class_of = {concept: number for number, concept in enumerate(concepts)}
    y_N = torch.empty(len(entries), dtype=torch.int64)
    for n, entry in enumerate(entries):
        if entry.label is not None and entry.label not in class_of:
            raise ConcordError("C207", f"{dataset.folder / entry.place}: label {entry.label!r}", _known(concepts))
        y_N[n] = NO_LABEL if entry.label is None else class_of[entry.label]
    return y_N


def _features(
    dataset: Dataset,
    modality: str,
    source: Source,
    entries: Sequence[Entry],
    config: RunConfig,
    kept: Path,
    advance: Advance,
) -> Tensor:
    """What the encoder takes, [N, ...]."""

    def prepare(positions: Sequence[int]) -> Iterator[tuple[int, Tensor]]:
        at = {entries[n].id: n for n in positions}
        preparation = preparation_for(dataset.folder, modality, source, config.encoder_names[modality])
        reading = read_entries(dataset.folder, source, [entries[n] for n in positions])
        made = 0
        while batch := list(islice(reading, TOGETHER)):
            x = preparation.prepare_all([raw for _, raw in batch])
            made += len(batch)
            advance(f"{dataset.name}: preparing {modality}", made, len(positions))
            yield from zip((at[entry.id] for entry, _ in batch), x, strict=True)

    about = f"{printable(str(dataset.folder.resolve()))} {modality} {source.content} {encoder_of(config, modality).identity}"
    return features(kept, about, [entry.key for entry in entries], prepare)


def preparation_for(folder: Path, modality: str, source: Source, encoder: str) -> Preparation:
    """How samples become inputs of an encoder; ConcordError C303 where it takes others, C103 or C204 where it cannot be used."""
    from client_app.data.preparation.registry import preparation_of  # a second, and features are mostly there

    preparation = preparation_of(encoder)
    if preparation.kind != source.kind:
        what = f"{folder}: {modality} is {source.kind}, the anchors are {preparation.kind}"
        raise ConcordError("C303", what, "give the modality another name, or build the anchors from samples of its kind")
    return preparation


def _known(concepts: Sequence[str]) -> str:
    listed = ", ".join(concepts[:20]) + (", ..." if len(concepts) > 20 else "")
    return f"the concepts are {listed}; `labels` in dataset.toml says what a label is called there"


def _consecutive(samples: Samples, sizes: Sequence[int]) -> list[Samples]:
    """Parts of these sizes, one after the other, on the same memory."""
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    spans = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    return [Samples(samples.x[span], samples.y[span], samples.ids[span]) for span in spans]


def _in_all(parts: Iterable[Samples]) -> tuple[str, ...]:
    """Ids that are in all parts, in the order of the first."""
    first, *others = (part.ids for part in parts)
    everywhere = set(first).intersection(*others)
    return tuple(id_ for id_ in first if id_ in everywhere)
