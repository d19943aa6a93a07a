"""A federation of data: the nodes of a suite with their training samples and test shards, and the public anchors.

The same suite, data, seed and scenario give the same federation on every machine, so that each node builds its own
part without anybody sending samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from client_app.data.cache import load_corpus
from client_app.data.corpus import Corpus
from client_app.data.graph import NodeGraph
from client_app.data.node_data import POOLED, NodeData
from client_app.data.own.advance import Advance, silent
from client_app.data.packs import PackFile
from client_app.data.paired import deal_pairs
from client_app.data.registry import SUITES, find_suite
from client_app.data.split import Split, shard, split
from client_app.data.suite import GraphSuite, Modality, PairedSuite, Suite
from client_app.data.texts import encode_texts, texts_of
from concord.anchors import AnchorSet, anchors_of_graph, load_anchors
from concord.config import RunConfig
from concord.errors import ConcordError
from concord.graphs import OWN_GRAPH
from concord.own import OWN, require_anchors
from concord.samples import Samples, concatenate
from concord.scenario import Scenario, parse_scenario

KNOWN_SHARE = 0.6  # of the classes, for a modality under disjoint-labels


@dataclass(frozen=True)
class Federation:
    """All nodes of a suite, and its anchors; concept i is class i.

    Anchors of graphs are directions that follow from the seed: there the set has no samples, and tells classes and features.
    """

    suite: str
    concepts: tuple[str, ...]
    modalities: tuple[str, ...]
    nodes: tuple[NodeData, ...]
    anchors: AnchorSet
    graphs: tuple[NodeGraph, ...] = ()  # of a suite of graphs, in place of nodes

    @property
    def parties(self) -> tuple[NodeData, ...] | tuple[NodeGraph, ...]:
        """All who take part."""
        return self.graphs or self.nodes


def suite_names() -> tuple[str, ...]:
    """The names of all suites."""
    return tuple(SUITES)


def federation_of(config: RunConfig, *, pooled: bool = False, advance: Advance = silent) -> Federation:
    """The federation of a run, with the anchors that it names; raises as `build_federation` or, on own data, `load_own`."""
    require_anchors(config)
    named = load_anchors(Path(config.anchors)) if config.anchors else None
    if config.suite == OWN and named:
        from client_app.data.own.federation import own_federation  # it takes `Federation` from here

        return own_federation(config, named, pooled=pooled, advance=advance)
    if config.suite == OWN_GRAPH and named:
        from client_app.data.own_graph.federation import own_graphs

        return own_graphs(config, named, pooled=pooled)
    data = Path(config.data) if config.data else None
    federation = build_federation(config.suite, data, config.seed, config.scenario, pooled, config.encoders)
    return replace(federation, anchors=named) if named else federation


@lru_cache(maxsize=8)
def build_federation(
    suite: str, data: Path | None, seed: int, scenario: str, pooled: bool = False, encoders: str = ""
) -> Federation:
    """Reads the data of a suite and deals it out.

    Args:
        suite: a name of `suite_names`.
        data: folder of the data packs; may be None for a suite that comes with the dependencies.
        seed: draws anchors, tests and training samples.
        scenario: which labels are hidden and who holds which modalities, see `concord.scenario`.
        pooled: one node that holds what all nodes hold: what learning without borders would reach.
        encoders: as in the run: who gives features of nodes from their texts. Samples do not depend on it.

    Raises:
        ConcordError: C201 missing files, C202 a broken file, C203 a node without training samples, C204 an unknown
            suite, scenario or encoder, C103 an encoder that cannot be used.
    """
    found = find_suite(suite)
    parsed = parse_scenario(scenario, found.modality_names, found.refused)
    if isinstance(found, GraphSuite):
        from client_app.data.parties import deal_graph  # a third of a second to import, which nodes of samples need not wait for

        source, named = found.graph(parsed.graph), RunConfig(encoders=encoders).encoder_names
        texts = texts_of(source, named)
        folder = _require_files(found.name, (*source.files, *(text.file for text in texts.values())), data)
        whole, identities = encode_texts(source.read(folder, seed), texts, named, folder)
        graphs, widths = deal_graph(whole, source, suite, parsed, seed, pooled=pooled)
        anchors = anchors_of_graph(source.concepts, widths, identities)
        return Federation(suite, source.concepts, tuple(source.widths), (), anchors, graphs)
    folder = _require_files(found.name, found.files, data)
    corpora = {modality.name: load_corpus(modality.reader, folder) for modality in found.modalities}
    if isinstance(found, PairedSuite):
        nodes, public = deal_pairs(found, corpora, parsed, seed)
    else:
        nodes, public = _deal_unpaired(found, corpora, parsed, seed)
    anchors = AnchorSet(found.concepts, public)
    return Federation(suite, found.concepts, found.modality_names, (pool(nodes),) if pooled else nodes, anchors)


def known_classes(rank: int, modalities: int, classes: int) -> Tensor:
    """Classes [C], bool, that the modality of that rank has labels of under ``disjoint-labels``.

    Each knows 6 of 10; the part is rotated from one modality to the next, so that together they know all.
    """
    step = max(1, round(classes / modalities))
    known_C = torch.zeros(classes, dtype=torch.bool)
    known_C[(torch.arange(round(KNOWN_SHARE * classes)) + rank * step) % classes] = True
    return known_C


def _deal_unpaired(
    suite: Suite, corpora: Mapping[str, Corpus], scenario: Scenario, seed: int
) -> tuple[tuple[NodeData, ...], dict[str, Samples]]:
    """The nodes, and the anchors of each modality."""
    splits = {m.name: split(corpora[m.name], m, len(suite.concepts), seed) for m in suite.modalities}
    nodes = tuple(
        node
        for rank, modality in enumerate(suite.modalities)
        for node in _nodes_of(modality, splits[modality.name], _hidden_classes(suite, scenario, rank))
    )
    return nodes, {name: dealt.anchors for name, dealt in splits.items()}


def _hidden_classes(suite: Suite, scenario: Scenario, rank: int) -> Tensor:
    """Classes [C], bool, whose labels the nodes of the modality of that rank do not have."""
    classes = len(suite.concepts)
    if scenario.kind == "unlabelled" and suite.modality_names[rank] == scenario.modality:
        return torch.ones(classes, dtype=torch.bool)
    if scenario.kind == "disjoint-labels":
        return ~known_classes(rank, len(suite.modalities), classes)
    return torch.zeros(classes, dtype=torch.bool)


def _nodes_of(modality: Modality, dealt: Split, hidden_C: Tensor) -> list[NodeData]:
    nodes = []
    for part, (owner, train) in enumerate(dealt.train.items()):
        name = f"{modality.name}-{owner}"
        if not len(train):
            raise ConcordError(
                "C203",
                f"node {name} has no training sample: none of {', '.join(modality.nodes[owner][:5])} is in the data",
                "run `concord data check`; the files may hold only a part of the pack",
            )
        tests = {"random": dealt.random[owner], "unseen": shard(dealt.unseen, part, len(dealt.train))}
        hidden = {modality.name: train.without_labels(hidden_C[train.y])}
        nodes.append(NodeData(name, hidden, {split_name: {modality.name: test} for split_name, test in tests.items()}))
    return nodes


def pool(nodes: tuple[NodeData, ...]) -> NodeData:
    """One node that holds what all `nodes` hold, each test instance once; fused, it tests what is there in all modalities."""
    tests = {
        name: {m: _each_once(samples) for m, samples in _union([node.tests[name] for node in nodes]).items()}
        for name in nodes[0].tests
    }
    joint = {}
    for name in nodes[0].joint:
        everywhere = set[str].intersection(*({*samples.ids} for samples in tests[name].values()))
        joint[name] = tuple(dict.fromkeys(i for node in nodes for i in node.joint[name] if i in everywhere))
    return NodeData(POOLED, _union([node.train for node in nodes]), tests, joint)


def _each_once(samples: Samples) -> Samples:
    """The first sample of each id."""
    first = {i: position for position, i in reversed([*enumerate(samples.ids)])}
    return samples if len(first) == len(samples) else samples.take(sorted(first.values()))


def _union(parts: list[Mapping[str, Samples]]) -> dict[str, Samples]:
    """Per modality the samples of all parts that have it."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: concatenate([part[name] for part in parts if name in part]) for name in names}


def _require_files(suite: str, files: Sequence[PackFile], data: Path | None) -> Path:
    """The data folder, once every one of the files is there; ConcordError C201 otherwise."""
    if files and not (data and str(data)):
        hint = f"name the folder that holds {', '.join(file.path for file in files)} with --data"
        raise ConcordError("C201", f"suite {suite} needs a data folder, and none is named", hint)
    folder = data or Path()
    missing = [file for file in files if not (folder / file.path).is_file()]
    if missing:
        named = "\n".join(f"  {folder / file.path}, from {file.origin}" for file in missing)
        raise ConcordError("C201", f"suite {suite}\n{named}", "put them there, or name with --data the folder above them")
    return folder
