"""A folder of a graph as what one party of a run holds.

Legend: N nodes.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch

from client_app.data.graph import TEST, TRAIN, VALIDATION, NodeGraph, both_directions
from client_app.data.own_graph.check import read_sound
from client_app.data.own_graph.layout import GraphFolder, read_graph_folder
from client_app.data.own_graph.splits import part_of
from client_app.data.own_graph.tables import GraphTables
from client_app.data.questions import asked_about
from client_app.data.suite import OF_SAMPLES
from concord.anchors import AnchorSet
from concord.config import RunConfig
from concord.errors import ConcordError
from concord.own import check_encoders
from concord.samples import NO_LABEL
from concord.scenario import Scenario, parse_scenario

_DEALT = "own data are where their owners have them, nothing is dealt"
REFUSED = MappingProxyType(dict.fromkeys((*OF_SAMPLES, "missing", "drift"), _DEALT) | {"graph": "each folder has one"})


def load_own_graph(folder: Path, config: RunConfig, anchors: AnchorSet) -> NodeGraph:
    """A party's part of a graph, with the questions of the run's task.

    Raises:
        ConcordError: C203 no node, C204 a scenario that makes no sense here, C205 a folder that cannot be understood, C206
            features that are no numbers, C207 a label that is no concept, C302 a modality that the anchors do not have, C303
            anchors of samples or of other features.
    """
    check_encoders(config, anchors)
    scenario = _scenario(config, anchors)
    place = read_graph_folder(folder)
    graph = _graph_of(place, read_sound(place, anchors), anchors, scenario, config.seed)
    return asked_about(graph, scenario.task, config.seed)


def _scenario(config: RunConfig, anchors: AnchorSet) -> Scenario:
    scenario = parse_scenario(config.scenario, tuple(anchors.modalities), REFUSED)
    if scenario.task == "retrieval" and len(anchors.modalities) == 1:
        what = f"scenario {scenario}: nodes have one modality, and retrieval is from one to another"
        raise ConcordError("C204", what, "choose another task")
    if scenario.task == "classes" and not anchors.concepts:
        what = f"scenario {scenario}: the anchors name no class, and classes are what is learnt"
        raise ConcordError("C204", what, "build them from folders with labels, or write task=links or task=retrieval")
    return scenario


def _graph_of(place: GraphFolder, tables: GraphTables, anchors: AnchorSet, scenario: Scenario, seed: int) -> NodeGraph:
    """The graph in tables without an error, its modalities in the order of the anchors."""
    class_of = {concept: number for number, concept in enumerate(anchors.concepts)}
    present = {m: torch.from_numpy(tables.present(m)) for m in anchors.modalities if m in tables.x}
    described_N = torch.stack([*present.values()]).any(0).tolist()
    nodes: dict[str, list[int]] = defaultdict(list)
    for n, (id_, label, split) in enumerate(zip(tables.ids, tables.labels, tables.splits, strict=True)):
        if described_N[n] and (label or scenario.task == "retrieval"):  # which needs no label
            nodes[part_of(id_, split, seed)].append(n)
    return NodeGraph(
        place.name,
        {m: torch.from_numpy(np.nan_to_num(tables.x[m], nan=0.0)) for m in present},
        present,
        torch.tensor([class_of.get(label, NO_LABEL) for label in tables.labels]),
        both_directions(torch.from_numpy(tables.pairs)),
        {part: torch.tensor(nodes[part], dtype=torch.int64) for part in (TRAIN, VALIDATION, TEST)},
        tuple(f"{place.name}/{id_}" for id_ in tables.ids),
    )
