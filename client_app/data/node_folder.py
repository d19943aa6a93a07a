"""A node's own data on its own disk: what a suite deals to one node, and nothing of another's.

::

    <folder>/node.json                           name, and the suite, seed and scenario that it was dealt with
    <folder>/anchors/                            the public anchors (see concord.anchors)
    <folder>/train/<modality>.safetensors        x, y; hidden labels are not there
    <folder>/tests/<split>/<modality>.safetensors
    <folder>/joint.json                          in a suite of pairs: per split the ids that the node tests in all it holds
    <folder>/graph.safetensors                   in a suite of graphs, in place of train and tests

The manifest of a node of pairs names the modalities that it holds, so that a lost file is told.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from client_app.data.graph import NodeGraph
from client_app.data.graph_file import graph_from_bytes, graph_to_bytes
from client_app.data.node_data import NodeData
from concord.anchors import AnchorSet, load_anchors, save_anchors
from concord.config import RunConfig
from concord.errors import ConcordError
from concord.run_folder import atomic_write
from concord.samples import Samples

MANIFEST, ANCHORS, TRAIN, TESTS, JOINT, GRAPH = "node.json", "anchors", "train", "tests", "joint.json", "graph.safetensors"
SCHEMA_VERSION = 1
_AGAIN = "deal the data again with `concord data deal`"


@dataclass(frozen=True)
class Origin:
    """What a node's data was dealt with. Two nodes of one run must have the same, or their data do not go together."""

    suite: str
    seed: int
    scenario: str
    encoders: str = ""  # of a graph, for features that come from texts


def save_node(folder: Path, node: NodeData | NodeGraph, anchors: AnchorSet, origin: Origin) -> bool:
    """Writes a node's data; the manifest comes last, so a folder that has one is whole.

    Returns:
        False, when the same was there already and nothing was written.

    Raises:
        ConcordError: C205, when the folder holds other data or cannot be written.
    """
    about = {key: value for key, value in origin.__dict__.items() if value != ""}
    manifest = {"schema-version": SCHEMA_VERSION, "node": node.name, **about, "anchors": anchors.digest}
    if isinstance(node, NodeGraph):
        manifest |= {"graph": list(node.modalities)}
    elif node.joint:
        manifest |= {"paired": list(node.train)}
    if (folder / MANIFEST).exists():
        if _read_manifest(folder) == manifest:
            return False
        raise ConcordError(
            "C205", f"{folder} holds the data of another node or run", "choose an empty folder, or delete this one"
        )
    try:
        save_anchors(anchors, folder / ANCHORS)
        if isinstance(node, NodeGraph):
            atomic_write(folder / GRAPH, graph_to_bytes(node))
        else:
            _write_samples(folder, node)
        atomic_write(folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")
    except OSError as error:
        raise ConcordError("C205", f"{folder}: {error}", "choose a folder that you may write to") from error
    return True


def load_node(folder: Path, config: RunConfig, *, pooled: bool) -> tuple[NodeData | NodeGraph, AnchorSet]:
    """Reads what `save_node` wrote, once it is sure to be data of this run.

    Raises:
        ConcordError: C205, when it cannot be read or was dealt for another run; C301 for its anchors.
    """
    manifest = _read_manifest(folder)
    if pooled:
        raise not_all_data(folder, config)
    wanted = {"suite": config.suite, "seed": config.seed, "scenario": config.scenario}
    if "graph" in manifest:  # other data are read by encoders only when they are learnt from
        wanted |= {"encoders": config.encoders}
    dealt = {"encoders": "", **manifest}
    other = [f"{key} {dealt.get(key)!r}, the run has {value!r}" for key, value in wanted.items() if dealt.get(key) != value]
    if other:
        raise ConcordError(
            "C205", f"{folder} was dealt with {'; '.join(other)}", "submit the run with these settings, or deal again"
        )
    if "graph" in manifest:
        return _read_graph(folder / GRAPH, str(manifest["node"]), manifest["graph"]), load_anchors(folder / ANCHORS)
    train = {path.stem: _read(path) for path in sorted((folder / TRAIN).glob("*.safetensors"))}
    tests = {
        split.name: {path.stem: _read(path) for path in sorted(split.glob("*.safetensors"))}
        for split in sorted((folder / TESTS).iterdir())
    }
    if not any(len(samples) for samples in train.values()):
        raise ConcordError("C203", f"{folder} holds no training sample", _AGAIN)
    joint = _read_joint(folder, manifest["paired"], train, tests) if "paired" in manifest else {}
    return NodeData(str(manifest["node"]), train, tests, joint), load_anchors(folder / ANCHORS)


def not_all_data(folder: Path, config: RunConfig) -> ConcordError:
    """C205 for a method that needs the data of all nodes."""
    what = f"{folder} holds one node's data, and {config.method} needs all data in one place"
    return ConcordError("C205", what, "run it in simulation")


def _write_samples(folder: Path, node: NodeData) -> None:
    for modality, samples in node.train.items():
        _write(folder / TRAIN / f"{modality}.safetensors", samples)
    for split, tests in node.tests.items():
        for modality, samples in tests.items():
            _write(folder / TESTS / split / f"{modality}.safetensors", samples)
    if node.joint:
        atomic_write(folder / JOINT, json.dumps(node.joint, indent=1) + "\n")


def _read_graph(path: Path, name: str, held: object) -> NodeGraph:
    try:
        graph = graph_from_bytes(name, path.read_bytes())
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ConcordError("C205", f"{path}: {error}", _AGAIN) from error
    if list(graph.modalities) != held:
        raise ConcordError("C205", f"{path} has {', '.join(graph.modalities)}, {MANIFEST} names {held}", _AGAIN)
    return graph


def _read_joint(
    folder: Path, held: object, train: Mapping[str, Samples], tests: Mapping[str, Mapping[str, Samples]]
) -> dict[str, tuple[str, ...]]:
    """The ids that a node of pairs tests in all that it holds, once its files are sure to be pairs of the `held` modalities."""
    if not isinstance(held, list) or not all(isinstance(modality, str) for modality in held):
        raise ConcordError("C205", f"{folder / MANIFEST}: 'paired' is no list of modalities", _AGAIN)
    for part, samples in {TRAIN: train, **{f"{TESTS}/{split}": samples for split, samples in tests.items()}}.items():
        for modality in sorted({*held} ^ {*samples}):
            path = folder / part / f"{modality}.safetensors"
            raise ConcordError("C205", f"{path} {'is missing' if modality in held else f'is not named in {MANIFEST}'}", _AGAIN)
    first = train[held[0]]
    for modality in held:
        if train[modality].ids != first.ids or not torch.equal(train[modality].y, first.y):
            what = f"{modality} does not have the ids and labels of {held[0]}, in the same order"
            raise ConcordError("C205", f"{folder / TRAIN}: {what}", _AGAIN)
    path = folder / JOINT
    try:
        said = json.loads(path.read_bytes())
        joint = {str(split): tuple(map(str, ids)) for split, ids in said.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ConcordError("C205", f"{path}: {error}", _AGAIN) from error
    if joint.keys() != tests.keys():
        raise ConcordError("C205", f"{path} has the splits {sorted(joint)}, {TESTS} has {sorted(tests)}", _AGAIN)
    for split, ids in joint.items():
        untested = [i for modality in held for i in set(ids) - {*tests[split][modality].ids}]
        if untested or len(set(ids)) < len(ids):
            what = f"{untested[0]!r} is not among the tests of all modalities" if untested else "an id is there twice"
            raise ConcordError("C205", f"{path}, {split}: {what}", _AGAIN)
    return joint


def _read_manifest(folder: Path) -> dict[str, object]:
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise ConcordError("C205", f"{path} is missing", _AGAIN) from error
    except (OSError, ValueError) as error:
        raise ConcordError("C205", f"{path}: {error}", _AGAIN) from error
    if not isinstance(manifest, dict) or manifest.get("schema-version") != SCHEMA_VERSION or "node" not in manifest:
        raise ConcordError("C205", f"{path} is no node manifest of schema version {SCHEMA_VERSION}", _AGAIN)
    return manifest


def _write(path: Path, samples: Samples) -> None:
    tensors = {"x": samples.x.contiguous(), "y": samples.y.contiguous()}
    atomic_write(path, save(tensors, metadata={"ids": json.dumps(samples.ids)}))


def _read(path: Path) -> Samples:
    try:
        with safe_open(path, framework="pt") as file:
            samples = Samples(file.get_tensor("x"), file.get_tensor("y"), tuple(map(str, json.loads(file.metadata()["ids"]))))
        if samples.y.dtype != torch.int64:
            raise ValueError(f"labels are {samples.y.dtype}, not int64")
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ConcordError("C205", f"{path}: {error}", _AGAIN) from error
    return samples
