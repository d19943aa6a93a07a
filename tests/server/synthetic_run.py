"""A run folder as a real run would leave it, with made-up figures: five modalities, fourteen nodes, ten rounds."""

from __future__ import annotations

import math
import random
from itertools import combinations, permutations
from pathlib import Path
from statistics import median

from concord.config import parse_config
from concord.run_folder import Line, RunFolder
from server_app.results import Accuracy, Bytes, Node, NodeBytes, Rejection, Result, Retrieval, Seconds, save_result

NODES = {
    **{f"radiology-{i}": "image" for i in range(1, 5)},
    **{f"dictation-{i}": "speech" for i in range(1, 4)},
    **{f"tablet-{i}": "pen" for i in range(1, 4)},
    **{f"records-{i}": "word" for i in range(1, 3)},
    **{f"signing-{i}": "sign" for i in range(1, 3)},
}
CEILING = {"image": 0.965, "speech": 0.91, "pen": 0.975, "word": 0.885, "sign": 0.79}
SPLITS = {"random": 1.0, "unseen": 0.86}
KEPT = (6,)
REJECTIONS = (
    Rejection(round=3, node="dictation-2", reason="norm", detail="trunk: update norm 412.7 above the bound 100"),
    Rejection(round=6, node="signing-1", reason="not-finite", detail="head: 3 of 650 values are not finite"),
    Rejection(round=6, node="signing-2", reason="schema", detail="group tokeniser.sign: shape [64, 48], expected [64, 64]"),
)


def write_synthetic_run(path: Path, nodes: dict[str, str] = NODES, rounds: int = 10, finished: bool = True) -> RunFolder:
    """Writes config.json, metrics.jsonl and, for a finished run, result.json."""
    rng = random.Random(7)
    folder = RunFolder(path)
    folder.prepare(
        parse_config({"suite": "digits", "data": "/data/digits", "rounds": rounds, "seed": 3, "share-test-embeddings": True})
    )
    folder.append_metrics({"scope": "run", "event": "started"})
    lines = [line for r in range(1, rounds + 1) for line in _round(r, nodes, rng)]
    if finished:
        lines += [*_evaluation(rounds + 1, nodes, rng), _final_line(rounds + 1, len(nodes))]
    for line in lines:
        folder.append_metrics(line)
    if finished:
        folder.append_metrics({"scope": "run", "event": "finished"})
        save_result(path, _result(lines, nodes, rounds, rng))
    return folder


def _round(r: int, nodes: dict[str, str], rng: random.Random) -> list[Line]:
    rejected = [one for one in REJECTIONS if one.round == r and one.node in nodes]
    lines = _evaluation(r, nodes, rng)
    lines += [{"scope": "rejection", **one.model_dump(by_alias=True)} for one in rejected]
    lines += _weights(r, [node for node in nodes if node not in {one.node for one in rejected}], nodes, rng)
    for a, b in combinations(sorted(set(nodes.values())), 2):
        goal = 0.5 + 0.5 * (CEILING.get(a, 0.8) * CEILING.get(b, 0.8)) ** 2
        value = goal - (goal - 0.12) * math.exp(-0.45 * (r - 1)) + rng.gauss(0, 0.008)
        lines.append({"scope": "cka", "round": r, "pair": f"{a}|{b}", "cka": value})
    replies = len(nodes) - (r == 8) - len(rejected)
    lines.append(
        {
            "scope": "round",
            "round": r,
            "rounds": 10,
            "seconds": 4.1 + rng.random() + 3 * (r == 1),
            "bytes-up": replies * 48_650 + rng.randrange(900),
            "bytes-down": len(nodes) * 50_120 + (r == 1) * 310_000,
            "replies": replies,
            "asked": len(nodes),
            "rejected": len(rejected),
            "kept-old-model": r in KEPT,
            "losses": {"task": 2.0 / r, "total": 3.0 / r},
            "direction-gap": None if r in KEPT else 3e-4 / r**2,
        }
    )
    return lines


def _final_line(r: int, nodes: int) -> Line:
    """The final evaluation, told as one more round."""
    figures = {"seconds": 0.8, "bytes-up": nodes * 9000, "bytes-down": nodes * 50_120, "losses": {}}
    counts = {"replies": nodes, "asked": nodes, "rejected": 0, "kept-old-model": False}
    return {"scope": "round", "round": r, "rounds": r - 1, **counts, **figures}


def _evaluation(r: int, nodes: dict[str, str], rng: random.Random) -> list[Line]:
    lines: list[Line] = []
    trained = r - 1 - sum(kept < r for kept in KEPT)
    for split, hardness in SPLITS.items():
        for modality in sorted(set(nodes.values())):
            goal = CEILING.get(modality, 0.8) * hardness
            accuracy = goal - (goal - 0.1) * math.exp(-0.5 * trained) + rng.gauss(0, 0.006) * (trained > 0)
            figures = {"accuracy": accuracy, "loss": -math.log(accuracy), "examples": 420}
            lines.append({"scope": "modality", "round": r, "modality": modality, "split": split, **figures})
            for node in (name for name, held in nodes.items() if held == modality):
                own = min(accuracy + rng.gauss(0, 0.02), 1.0)
                lines.append({"scope": "node", "round": r, "node": node, "modality": modality, "split": split, "accuracy": own})
    return lines


def _weights(r: int, good: list[str], nodes: dict[str, str], rng: random.Random) -> list[Line]:
    lines: list[Line] = []
    for group in ("trunk", "head", *(f"tokeniser.{modality}" for modality in sorted(set(nodes.values())))):
        holders = [node for node in good if group in ("trunk", "head") or group.endswith(f".{nodes[node]}")]
        raw = {node: rng.uniform(0.4, 1.6) for node in holders}
        lines += [
            {"scope": "weight", "round": r, "group": group, "node": node, "share": raw[node] / sum(raw.values())}
            for node in holders
        ]
    return lines


def _result(lines: list[Line], nodes: dict[str, str], rounds: int, rng: random.Random) -> Result:
    ended = [line for line in lines if line["scope"] == "round" and line["round"] <= rounds]
    last = [line for line in lines if line["round"] == rounds + 1]
    up, down = sum(line["bytes-up"] for line in ended), sum(line["bytes-down"] for line in ended)
    pace = [line["seconds"] for line in ended]
    accuracy: dict[str, dict[str, Accuracy]] = {split: {} for split in SPLITS}
    node_accuracy: dict[str, dict[str, dict[str, float]]] = {node: {split: {} for split in SPLITS} for node in nodes}
    for line in last:
        if line["scope"] == "modality":
            accuracy[line["split"]][line["modality"]] = Accuracy(
                accuracy=line["accuracy"], macro_f1=line["accuracy"], examples=line["examples"]
            )
        elif line["scope"] == "node":
            node_accuracy[line["node"]][line["split"]][line["modality"]] = line["accuracy"]
    weights: dict[str, dict[str, float]] = {}
    for line in lines:
        if line["scope"] == "weight" and line["round"] == rounds:
            weights.setdefault(line["group"], {})[line["node"]] = line["share"]
    return Result(
        method="geolora",
        suite="digits",
        scenario="labelled",
        seed=3,
        rounds=rounds,
        anchors="9f2c4e1b" * 8,
        nodes=[Node(name=node, modalities=[m], examples=240 + 10 * len(node), labelled=240) for node, m in nodes.items()],
        accuracy=accuracy,
        node_accuracy=node_accuracy,
        retrieval=_retrieval(sorted(set(nodes.values())), rng),
        cka={line["pair"]: line["cka"] for line in lines if line["scope"] == "cka" and line["round"] == rounds},
        bytes=Bytes(
            up_per_node_round=up / rounds / len(nodes),
            down_per_node_round=down / rounds / len(nodes),
            up_total=up,
            down_total=down,
            nodes={node: NodeBytes(up=up // len(nodes), down=down // len(nodes)) for node in nodes},
        ),
        seconds=Seconds(total=sum(pace) + 21.5, per_round=median(pace)),
        rejections=[one for one in REJECTIONS if one.node in nodes],
        rounds_kept=list(KEPT),
        weights=weights,
        versions={
            "concord": "0.1.0",
            "flwr": "1.34.0",
            "torch": "2.13.0",
            "transformers": "5.23.0",
            "peft": "0.21.2",
            "python": "3.11.7",
        },
    )


def _retrieval(modalities: list[str], rng: random.Random) -> dict[str, dict[str, dict[str, Retrieval]]]:
    quality = {"anchor-coordinates": 0.95, "pooled": 0.62}
    return {
        split: {
            space: {
                f"{a}->{b}": Retrieval(
                    precision_at_10=best * hardness * CEILING[a] * CEILING[b] * rng.uniform(0.9, 1.0),
                    map=0.9 * best * hardness * CEILING[a] * CEILING[b] * rng.uniform(0.9, 1.0),
                )
                for a, b in permutations(modalities, 2)
            }
            for space, best in quality.items()
        }
        for split, hardness in SPLITS.items()
    }
