"""What a report says beside weights: how well a node predicts, its Grams, prototypes and embeddings."""

from __future__ import annotations

import math

import torch

from concord.anchors import AnchorSet
from concord.functional.ranking import AMONG
from concord.wire.messages import MOST_EXAMPLES, gram_from_wire, matrix_from_wire, prototypes_from_wire
from concord.wire.v1 import federation_pb2 as pb
from strategies.checks.expectation import Expectation
from strategies.checks.graphs import check_class_answers, check_class_means, check_homophily, check_moments
from strategies.checks.rejection import Reason, Rejected

COSINE_ROUNDING = 1e-3
RANK_ROUNDING = 1e-9
LATER = 2 / 3  # the largest reciprocal rank below 1, of rank 1 1/2

MOST_LOSSES, MOST_SPLITS, LONGEST_NAME, LONGEST_LOSS = 64, 16, 32, 128  # of a report; all come from the node


def check_figures(report: pb.Report, expected: Expectation) -> None:
    """Whether all that a report says beside weights can be true; Rejected or WireError otherwise."""
    _check_modalities(report, expected)
    for entry in report.grams:
        _check_gram(entry, expected.anchors)
    if report.HasField("prototypes"):
        _check_prototypes(report.prototypes, expected)
    if report.HasField("moments"):
        check_moments(report.moments, expected)
    check_class_means(report.class_means, expected)
    if report.HasField("class_answers"):
        check_class_answers(report.class_answers, expected)
    if report.homophily:
        check_homophily(report.homophily, expected)
    tested = {(e.modality, e.split): e.examples for e in report.evaluations}
    for embeddings in report.embeddings:
        _check_embeddings(embeddings, tested.get((embeddings.modality, embeddings.split)), expected)
    if len(report.losses) > MOST_LOSSES or not all(map(math.isfinite, report.losses.values())):
        raise Rejected(Reason.EVALUATION, f"{len(report.losses)} losses, at most {MOST_LOSSES} finite ones are taken")
    if any(len(name) > LONGEST_LOSS for name in report.losses):
        raise Rejected(Reason.EVALUATION, f"a loss whose name has more than {LONGEST_LOSS} letters")
    splits = {e.split for e in report.evaluations} | {r.split for r in report.rankings}
    if len(splits) > MOST_SPLITS or any(len(split) > LONGEST_NAME for split in splits):
        what = f"{len(splits)} splits, at most {MOST_SPLITS} of names of {LONGEST_NAME} letters are taken"
        raise Rejected(Reason.EVALUATION, what)
    for evaluation in report.evaluations:
        if not evaluation.correct <= evaluation.examples <= MOST_EXAMPLES or not math.isfinite(evaluation.loss_sum):
            raise Rejected(
                Reason.EVALUATION, f"{evaluation.correct} of {evaluation.examples} correct, loss {evaluation.loss_sum}"
            )
        _check_counts(evaluation, len(expected.anchors.concepts))
    for ranking in report.rankings:
        _check_ranking(ranking)


def _check_counts(evaluation: pb.Evaluation, classes: int) -> None:
    """Whether the counts by class are over the run's classes and add up to the evaluation."""
    counts = evaluation.classes
    lengths = {len(counts.hits), len(counts.predicted), len(counts.actual)}
    sums = (sum(counts.hits), sum(counts.predicted), sum(counts.actual))
    if lengths != {classes} or sums != (evaluation.correct, evaluation.examples, evaluation.examples):
        raise Rejected(Reason.EVALUATION, f"counts of {sorted(lengths)} classes with sums {sums}, the run has {classes} classes")
    if any(h > min(p, a) for h, p, a in zip(counts.hits, counts.predicted, counts.actual, strict=True)):
        raise Rejected(Reason.EVALUATION, "a class with more hits than samples")


def _check_ranking(ranking: pb.Ranking) -> None:
    """Whether the sums of a ranking can be those of its questions."""
    first, among, asked, found = ranking.first, ranking.among_ten, ranking.questions, ranking.reciprocal_ranks
    most = first + (among - first) * LATER + (asked - among) / AMONG
    bounded = first <= found * (1 + RANK_ROUNDING) and found <= most * (1 + RANK_ROUNDING) and 0 <= ranking.chance <= asked
    if not (first <= among <= asked <= MOST_EXAMPLES and bounded):
        sums = f"{first} first, {among} among ten, reciprocal ranks {found:.4g}, by chance {ranking.chance:.4g}"
        raise Rejected(Reason.EVALUATION, f"ranks of {asked} questions: {sums}")


def _check_modalities(report: pb.Report, expected: Expectation) -> None:
    """Each figure is of a modality that the node holds, and there once: none counts twice."""
    held = {holding.modality for holding in expected.census.holdings}
    named = [
        *(("Gram", entry.modality, "") for entry in report.grams),
        *(("evaluation", entry.modality, entry.split) for entry in report.evaluations),
        *(("embeddings", entry.modality, entry.split) for entry in report.embeddings),
        *(("ranks", entry.kind, entry.split) for entry in report.rankings),
    ]
    seen: set[tuple[str, str, str]] = set()
    for what, modality, split in named:
        if modality not in {"evaluation": expected.figures, "ranks": expected.questions}.get(what, held):
            raise Rejected(Reason.UNKNOWN_MODALITY, f"{what} of {modality!r}, its census names {sorted(held)}")
        if (what, modality, split) in seen:
            raise Rejected(Reason.UNKNOWN_MODALITY, f"{what} of {modality!r} {split} more than once")
        seen.add((what, modality, split))


def _check_gram(entry: pb.ModalityGram, anchors: AnchorSet) -> None:
    if anchors.of_graphs:
        raise Rejected(Reason.GRAM, f"{entry.modality}: a Gram, where anchors have no samples")
    gram_CC, mask_C = gram_from_wire(entry.gram, len(anchors.concepts))
    if not torch.equal(mask_C, anchors.mask(entry.modality)):
        raise Rejected(Reason.GRAM, f"{entry.modality}: its Gram is not over the concepts that have anchors")
    largest = float(gram_CC.abs().max())
    if largest > 1 + COSINE_ROUNDING:
        raise Rejected(Reason.GRAM, f"{entry.modality}: its Gram holds {largest:.4g}, and a cosine is at most 1")


def _check_prototypes(message: pb.Prototypes, expected: Expectation) -> None:
    if not expected.tells_prototypes:
        raise Rejected(Reason.UNDECODABLE, "class prototypes were not asked for")
    means_CD, count_C = prototypes_from_wire(message, len(expected.anchors.concepts))
    if means_CD.shape[1] != expected.width:
        raise Rejected(Reason.WRONG_SHAPE, f"prototypes of width {means_CD.shape[1]}, the model's is {expected.width}")
    most = sum(max(h.examples, len(expected.anchors.modalities[h.modality])) for h in expected.census.holdings)
    if float(count_C.sum()) > most:
        raise Rejected(Reason.CLAIMED_EXAMPLES, f"prototypes: {count_C.sum():.0f} examples, by its census at most {most}")
    largest = float(means_CD.double().norm(dim=1).max())
    if largest > expected.norm_bound:
        raise Rejected(Reason.LARGE_NORM, f"a prototype of norm {largest:.4g}, the bound is {expected.norm_bound:.4g}")


def _check_embeddings(entry: pb.Embeddings, tested: int | None, expected: Expectation) -> None:
    if not expected.shares_embeddings:
        raise Rejected(Reason.UNDECODABLE, "embeddings were not asked for")
    if tested is None or len(entry.labels) > tested:
        what = f"{len(entry.labels)} embeddings of {entry.modality}, {tested or 'no'} samples tested in that split"
        raise Rejected(Reason.CLAIMED_EXAMPLES, what)
    pooled, coordinates = matrix_from_wire(entry.pooled), matrix_from_wire(entry.coordinates)
    concepts = len(expected.anchors.concepts)
    if pooled.shape != (len(entry.labels), expected.width) or coordinates.shape != (len(entry.labels), concepts):
        shapes = f"{list(pooled.shape)} and {list(coordinates.shape)} for {len(entry.labels)} labels"
        raise Rejected(Reason.WRONG_SHAPE, f"embeddings of {entry.modality}: {shapes}")
