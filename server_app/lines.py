"""The lines of ``metrics.jsonl`` that a round gives: pure functions from its outcome to JSON objects."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from concord.config import AGENTS, RunConfig
from concord.functional.classification import macro_f1
from concord.functional.gram import consensus
from concord.names import MOST_BYTES, shown
from concord.wire.messages import gram_from_wire
from concord.wire.v1 import federation_pb2 as pb
from server_app.results import cka_table
from server_app.semantic_lines import homophily_lines
from strategies.checks.rejection import Rejection
from strategies.state import Outcome

REASON_LETTERS = 300  # most of what nodes write themselves
Line = dict[str, Any]


def outcome_lines(outcome: Outcome, config: RunConfig, round_: int, seconds: float, concepts: int) -> list[Line]:
    """All lines of one round; the evaluation in them is of the model that came in to the round."""
    reports = [accepted.report for accepted in outcome.accepted]
    return [
        *rejection_lines(outcome.rejections, round_),
        *_node_lines(reports, round_, outcome),
        *_modality_lines(reports, round_),
        *_ranking_lines(reports, round_, outcome),
        *_weight_lines(outcome, round_),
        *_cka_lines(reports, round_, concepts, config),
        *homophily_lines(reports, round_),
        *(_link_lines(reports, round_) if config.method in AGENTS else ()),
        {
            "scope": "round",
            "round": round_,
            "rounds": config.rounds,
            "seconds": seconds,
            "bytes-up": sum(outcome.bytes_up.values()),
            "bytes-down": sum(outcome.bytes_down.values()),
            "asked": len(outcome.asked),
            "replies": len(outcome.accepted),
            "rejected": len(outcome.rejections),
            "kept-old-model": outcome.kept_old_model,
            "norm-ratio": fmean(ratios) if (ratios := [r for r in outcome.norm_ratios if math.isfinite(r)]) else None,
            "losses": _mean_losses(reports),
        },
    ]


def rejection_lines(rejections: Iterable[Rejection], round_: int) -> list[Line]:
    """What was left out of a round; round 0 is the census."""
    return [
        {"scope": "rejection", "round": round_, "node": r.node, "reason": str(r.reason), "detail": r.detail} for r in rejections
    ]


def modality_grams(reports: Iterable[pb.Report], concepts: int) -> dict[str, tuple[Tensor, Tensor]]:
    """One Gram [C, C] and mask [C] a modality: the mean over its nodes of their normalised, centred Grams."""
    by_modality: dict[str, list[tuple[Tensor, Tensor]]] = defaultdict(list)
    for report in reports:
        for entry in report.grams:
            by_modality[entry.modality].append(gram_from_wire(entry.gram, concepts))
    return {m: consensus(grams, torch.full((len(grams),), 1 / len(grams))) for m, grams in sorted(by_modality.items())}


def _node_lines(reports: list[pb.Report], round_: int, outcome: Outcome) -> list[Line]:
    return [
        {
            "scope": "node",
            "round": round_,
            "node": report.node,
            "modality": e.modality,
            "split": e.split,
            "accuracy": e.correct / e.examples,
            "examples": e.examples,
            "seconds": report.seconds,
            **_traffic(report.node, outcome),
        }
        for report in reports
        for e in report.evaluations
        if e.examples
    ]


def _traffic(node: str, outcome: Outcome) -> Line:
    return {"bytes-up": outcome.bytes_up.get(node, 0), "bytes-down": outcome.bytes_down.get(node, 0)}


def _modality_lines(reports: list[pb.Report], round_: int) -> list[Line]:
    gathered: dict[tuple[str, str], list[pb.Evaluation]] = defaultdict(list)
    for report in reports:
        for e in report.evaluations:
            if e.examples:
                gathered[e.split, e.modality].append(e)
    return [_modality_line(modality, split, parts, round_) for (split, modality), parts in sorted(gathered.items())]


def _modality_line(modality: str, split: str, parts: list[pb.Evaluation], round_: int) -> Line:
    examples = sum(e.examples for e in parts)
    hits_C, predicted_C, actual_C = (
        torch.tensor([list(count) for count in counts]).sum(0)
        for counts in zip(*((e.classes.hits, e.classes.predicted, e.classes.actual) for e in parts), strict=True)
    )
    return {
        "scope": "modality",
        "round": round_,
        "modality": modality,
        "split": split,
        "accuracy": sum(e.correct for e in parts) / examples,
        "macro-f1": macro_f1(hits_C, predicted_C, actual_C),
        "loss": sum(e.loss_sum for e in parts) / examples,
        "examples": examples,
    }


def _ranking_lines(reports: list[pb.Report], round_: int, outcome: Outcome) -> list[Line]:
    """A line a party and kind of questions, and one for all parties together."""
    by_kind: dict[tuple[str, str], list[pb.Ranking]] = defaultdict(list)
    lines: list[Line] = []
    for report in reports:
        for ranking in (ranking for ranking in report.rankings if ranking.questions):
            by_kind[ranking.split, ranking.kind].append(ranking)
            about = {"scope": "node-ranking", "round": round_, "node": report.node, "seconds": report.seconds}
            lines.append(about | _ranking_figures([ranking]) | _traffic(report.node, outcome))
    together = [{"scope": "ranking", "round": round_} | _ranking_figures(parts) for _, parts in sorted(by_kind.items())]
    return lines + together


def _ranking_figures(parts: list[pb.Ranking]) -> Line:
    questions = sum(part.questions for part in parts)
    return {
        "kind": parts[0].kind,
        "split": parts[0].split,
        "mrr": sum(part.reciprocal_ranks for part in parts) / questions,
        "hits-at-1": sum(part.first for part in parts) / questions,
        "hits-at-10": sum(part.among_ten for part in parts) / questions,
        "chance": sum(part.chance for part in parts) / questions,
        "questions": questions,
    }


def _link_lines(reports: list[pb.Report], round_: int) -> list[Line]:
    """What came of each agent's neighbours in the round before, as it says itself."""
    return [
        {
            "scope": "link",
            "round": round_ - 1,
            "told-in": round_,
            "node": report.node,
            "neighbour": shown(o.neighbour, MOST_BYTES),
            "received": o.outcome[:REASON_LETTERS],
        }
        for report in reports
        for o in report.outcomes
    ]


def _weight_lines(outcome: Outcome, round_: int) -> list[Line]:
    return [
        {"scope": "weight", "round": round_, "group": group, "node": node, "share": share}
        for group, shares in outcome.shares.items()
        for node, share in shares.items()
    ]


def _cka_lines(reports: list[pb.Report], round_: int, concepts: int, config: RunConfig) -> list[Line]:
    table = cka_table(modality_grams(reports, concepts), config.geolora.hsic)
    return [{"scope": "cka", "round": round_, "pair": pair, "cka": value} for pair, value in table.items()]


def _mean_losses(reports: list[pb.Report]) -> Mapping[str, float]:
    values: dict[str, list[float]] = defaultdict(list)
    for report in reports:
        for name, value in report.losses.items():
            values[name].append(value)
    return {name: sum(v) / len(v) for name, v in sorted(values.items())}
