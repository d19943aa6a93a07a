"""The final figures of a run, from its metrics file and the last, evaluate-only phase.

Everything that a resumed run could have missed is read from the file, so that it gives what an uninterrupted run gives.
"""

from __future__ import annotations

import platform
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from statistics import mean, median
from typing import Any

import torch
from torch import Tensor

from concord.anchors import AnchorSet
from concord.config import RunConfig
from concord.functional.retrieval import COORDINATES, POOLED
from concord.wire.messages import matrix_from_wire
from concord.wire.v1 import federation_pb2 as pb
from server_app.lines import modality_grams
from server_app.results import (
    Accuracy,
    Bytes,
    Node,
    NodeBytes,
    Ranking,
    Rejection,
    Result,
    Retrieval,
    Seconds,
    cka_table,
    ranking_of,
    retrieval_table,
)

PACKAGES = ("concord", "flwr", "torch", "transformers", "peft")
Line = Mapping[str, Any]


def final_result(
    config: RunConfig, anchors: AnchorSet, census: Iterable[pb.Census], lines: Sequence[Line], reports: Sequence[pb.Report]
) -> Result:
    """Puts ``result.json`` together.

    Args:
        config: the run.
        anchors: its anchors.
        census: what the nodes have.
        lines: all lines of ``metrics.jsonl``, the final evaluation included (round `rounds` + 1).
        reports: the good reports of the evaluate-only phase.
    """
    last = config.rounds + 1
    scopes: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        scopes[str(line["scope"])].append(line)
    accuracy: dict[str, dict[str, Accuracy]] = defaultdict(dict)
    for line in scopes["modality"]:
        if line["round"] == last:
            accuracy[line["split"]][line["modality"]] = Accuracy(
                accuracy=line["accuracy"], macro_f1=line["macro-f1"], examples=line["examples"]
            )
    node_accuracy: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for line in scopes["node"]:
        if line["round"] == last:
            node_accuracy[line["node"]][line["split"]][line["modality"]] = line["accuracy"]
    return Result(
        method=config.method,
        suite=config.suite,
        scenario=config.scenario,
        seed=config.seed,
        rounds=config.rounds,
        anchors=anchors.digest,
        nodes=[_node(c) for c in census],
        accuracy=dict(accuracy),
        node_accuracy={node: dict(splits) for node, splits in node_accuracy.items()},
        retrieval=retrieval_figures(reports),
        ranking=_rankings([line for line in scopes["ranking"] if line["round"] == last]),
        cka=cka_table(modality_grams(reports, len(anchors.concepts)), config.geolora.hsic),
        bytes=_bytes(scopes["node"] + scopes["node-ranking"], scopes["round"], config.rounds),
        seconds=_seconds(scopes["round"], config.rounds),
        rejections=[
            Rejection(round=r["round"], node=r["node"], reason=r["reason"], detail=r["detail"]) for r in scopes["rejection"]
        ],
        rounds_kept=[r["round"] for r in scopes["round"] if r["kept-old-model"]],
        weights=_last_weights(scopes["weight"]),
        versions={name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
    )


def retrieval_figures(reports: Sequence[pb.Report]) -> dict[str, dict[str, dict[str, Retrieval]]]:
    """Retrieval by split and space, over the test embeddings of all nodes together."""
    gathered: dict[tuple[str, str, str], list[tuple[Tensor, Tensor]]] = defaultdict(list)
    for report in reports:
        for entry in report.embeddings:
            labels_N = torch.tensor(list(entry.labels))
            gathered[entry.split, POOLED, entry.modality].append((matrix_from_wire(entry.pooled), labels_N))
            gathered[entry.split, COORDINATES, entry.modality].append((matrix_from_wire(entry.coordinates), labels_N))
    spaces: dict[tuple[str, str], dict[str, tuple[Tensor, Tensor]]] = defaultdict(dict)
    for (split, space, modality), parts in gathered.items():
        spaces[split, space][modality] = (torch.cat([z for z, _ in parts]), torch.cat([y for _, y in parts]))
    figures: dict[str, dict[str, dict[str, Retrieval]]] = defaultdict(dict)
    for (split, space), embeddings in sorted(spaces.items()):
        figures[split][space] = retrieval_table(embeddings)
    return dict(figures)


def _rankings(lines: Iterable[Line]) -> dict[str, dict[str, Ranking]]:
    rankings: dict[str, dict[str, Ranking]] = defaultdict(dict)
    for line in lines:
        rankings[line["split"]][line["kind"]] = ranking_of(line)
    return dict(rankings)


def _node(census: pb.Census) -> Node:
    return Node(
        name=census.node,
        modalities=[h.modality for h in census.holdings],
        examples=sum(h.examples for h in census.holdings),
        labelled=sum(h.labelled for h in census.holdings),
    )


def _bytes(node_lines: Sequence[Line], round_lines: Sequence[Line], rounds: int) -> Bytes:
    """Bytes of the training rounds; what the evaluate-only phase sends for the figures is not part of a method's cost."""
    by_node_round = {
        (line["node"], line["round"]): (line["bytes-up"], line["bytes-down"]) for line in node_lines if line["round"] <= rounds
    }
    nodes: dict[str, NodeBytes] = {}
    for name in sorted({node for node, _ in by_node_round}):
        own = [pair for (node, _), pair in by_node_round.items() if node == name]
        nodes[name] = NodeBytes(up=sum(up for up, _ in own), down=sum(down for _, down in own))
    pairs = list(by_node_round.values())
    training = [line for line in round_lines if line["round"] <= rounds]
    return Bytes(
        up_per_node_round=mean(up for up, _ in pairs) if pairs else float("nan"),
        down_per_node_round=mean(down for _, down in pairs) if pairs else float("nan"),
        up_total=sum(line["bytes-up"] for line in training),
        down_total=sum(line["bytes-down"] for line in training),
        nodes=nodes,
    )


def _seconds(round_lines: Sequence[Line], rounds: int) -> Seconds:
    training = [line["seconds"] for line in round_lines if line["round"] <= rounds]
    total = sum(line["seconds"] for line in round_lines)
    return Seconds(total=total, per_round=median(training) if training else float("nan"))


def _last_weights(weight_lines: Sequence[Line]) -> dict[str, dict[str, float]]:
    newest: dict[str, int] = {}
    for line in weight_lines:
        newest[line["group"]] = max(newest.get(line["group"], 0), line["round"])
    weights: dict[str, dict[str, float]] = defaultdict(dict)
    for line in weight_lines:
        if line["round"] == newest[line["group"]]:
            weights[line["group"]][line["node"]] = line["share"]
    return dict(weights)
