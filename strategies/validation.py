"""Replies are hostile until proven good. A reply that fails is left out with a typed reason; it never ends the run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version

import torch
from flwr.app import Message
from torch import Tensor

from concord.anchors import AnchorSet
from concord.functional.ranking import AMONG
from concord.functional.sparse import SparseUpdate, l2_norm
from concord.graphs import feature_encoder
from concord.wire.class_means import class_means_from_wire
from concord.wire.groups import Group, modality_of, shapes_from_manifest, shapes_of, unpack
from concord.wire.homophily import homophily_from_wire
from concord.wire.messages import WireError, gram_from_wire, matrix_from_wire, prototypes_from_wire
from concord.wire.moments import moments_from_wire
from concord.wire.records import arrays_from_record, message_from_record
from concord.wire.sparse import sparse_from_wire
from concord.wire.v1 import federation_pb2 as pb

COSINE_ROUNDING = 1e-3
MASS_ROUNDING = 1e-3
RANK_ROUNDING = 1e-9
LATER = 2 / 3  # the largest reciprocal rank below 1, of rank 1 1/2

MOST_LOSSES, LONGEST_NAME = 64, 32  # of a report; both come from the node
MOST_EXAMPLES = 1 << 40  # of a modality, split or kind of question: sums over all nodes stay whole numbers of 64 bits


class Reason(StrEnum):
    """Why a reply, or a node, was left out."""

    NO_REPLY = "no-reply"
    NODE_ERROR = "node-error"
    UNDECODABLE = "undecodable"
    OTHER_ROUND = "other-round"
    OTHER_VERSION = "other-version"
    OTHER_ANCHORS = "other-anchors"
    OTHER_NODE = "other-node"
    NO_DATA = "no-data"
    OTHER_ENCODER = "other-encoder"
    DUPLICATE_NAME = "duplicate-name"
    NEEDS_BASE = "needs-base"
    UNKNOWN_MODALITY = "unknown-modality"
    UNKNOWN_GROUP = "unknown-group"
    WRONG_SHAPE = "wrong-shape"
    NOT_FINITE = "not-finite"
    LARGE_NORM = "large-norm"
    CLAIMED_EXAMPLES = "claimed-examples"
    CLAIMED_PRECISION = "claimed-precision"
    EVALUATION = "evaluation"
    GRAM = "gram"


@dataclass(frozen=True)
class Rejection:
    """A reply that did not count: the node's name, why, and the detail a person needs."""

    node: str
    reason: Reason
    detail: str


class Rejected(Exception):  # noqa: N818 - a verdict on a reply, not an error of the program
    """Raised inside validation; carries the reason."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Accepted:
    """A reply that counts: the report, and the groups in it that travelled whole.

    Sparse updates stay as they came, in a tenth of the memory, until they are averaged: see `sparse_of`.
    """

    census: pb.Census
    report: pb.Report
    groups: Mapping[str, dict[str, Tensor]]

    def claim_of(self, group: str) -> pb.GroupClaim | None:
        """What the report says of a group, None where it has none."""
        return next((claim for claim in self.report.groups if claim.manifest.group == group), None)


def sparse_of(claim: pb.GroupClaim) -> SparseUpdate:
    """The sparse update in a claim whose manifest is that of the group; WireError where it is none."""
    return sparse_from_wire(claim.sparse, [math.prod(shape) for shape in shapes_from_manifest(claim.manifest).values()])


@dataclass(frozen=True)
class Expectation:
    """What a good reply of one node looks like.

    Attributes:
        census: what the node said it has.
        round_: the round it was asked in.
        sent: the groups it was sent, in its own rank.
        anchors: the run's anchors.
        width: dimension D of the shared space.
        norm_bound: largest L2 norm of a group's change, and of a class prototype.
        needs_variance: whether each group must claim a variance.
        figures: names under which it may report how well it predicts.
        questions: kinds of questions that it may report the ranks of answers to.
        sparse: whether groups come as sparse updates.
        semantic: anchors and width of the shared space of a graph, whose moments it tells; None: it tells none.
        tells_class_means: whether it may tell class means of the features of a graph.
        tells_homophily: whether it tells how the nodes of a graph listen to their neighbours.
    """

    census: pb.Census
    round_: int
    sent: Mapping[str, Group]
    anchors: AnchorSet
    width: int
    norm_bound: float
    needs_variance: bool
    figures: frozenset[str]
    questions: frozenset[str] = frozenset()
    sparse: bool = False
    semantic: tuple[int, int] | None = None
    tells_class_means: bool = False
    tells_homophily: bool = False


def read_reply(reply: Message, expected: Expectation) -> Accepted:
    """Reads and checks one reply.

    Raises:
        Rejected: with the first reason found.
    """
    if reply.has_error():
        raise Rejected(Reason.NODE_ERROR, f"code {reply.error.code}: {reply.error.reason}")
    try:
        report = message_from_record(pb.Report, reply.content)
        arrays = arrays_from_record(reply.content)
        check_identity(report, expected)
        _check_figures(report, expected)
    except WireError as error:
        raise Rejected(Reason.UNDECODABLE, error.message) from error
    claims = {claim.manifest.group: claim for claim in report.groups}
    if any(claim.HasField("sparse") != expected.sparse for claim in report.groups):
        raise Rejected(Reason.UNDECODABLE, f"sparse updates {'were' if expected.sparse else 'were not'} asked for")
    if len(claims) != len(report.groups) or (set() if expected.sparse else claims.keys()) != arrays.keys():
        raise Rejected(Reason.UNDECODABLE, f"claims for {sorted(claims)} with arrays for {sorted(arrays)}")
    groups: dict[str, dict[str, Tensor]] = {}
    for name, claim in claims.items():
        if name not in expected.sent:
            raise Rejected(Reason.UNKNOWN_GROUP, f"group {name!r} was not asked for; asked: {sorted(expected.sent)}")
        _check_claim(claim, expected)
        try:
            shapes = shapes_from_manifest(claim.manifest)  # in the node's order, in which its array is
            known = shapes_of(expected.sent[name])
            if shapes != known or (expected.sparse and list(shapes) != list(known)):
                raise Rejected(Reason.WRONG_SHAPE, f"group {name!r}: the manifest names other tensors or shapes than were sent")
            if expected.sparse:
                _check_norm(name, l2_norm(sparse_of(claim)), expected)
            else:
                groups[name] = unpack(arrays[name], shapes)
                _check_update(name, groups[name], expected)
        except WireError as error:
            raise Rejected(Reason.WRONG_SHAPE, f"group {name!r}: {error.message}") from error
    return Accepted(expected.census, report, groups)


def check_identity(report: pb.Report, expected: Expectation) -> None:
    """Whether a report is this node's, for this round, on these anchors; Rejected otherwise."""
    if report.node != expected.census.node:
        raise Rejected(Reason.OTHER_NODE, f"a report signed {report.node!r}")
    if report.round != expected.round_:
        raise Rejected(Reason.OTHER_ROUND, f"a report of round {report.round} in round {expected.round_}")
    if report.anchor_digest != expected.anchors.digest:
        raise Rejected(Reason.OTHER_ANCHORS, f"anchors {report.anchor_digest[:12]}, the run's {expected.anchors.digest[:12]}")
    if report.needs_base:
        raise Rejected(Reason.NEEDS_BASE, "the trunk base was not on the node's disk; it is sent again with the next round")


def check_census(census: pb.Census, anchors: AnchorSet, encoders: Mapping[str, str], others: Sequence[pb.Census]) -> None:
    """Whether a node can take part, on these anchors and encoders, beside these others; Rejected otherwise."""
    if census.app_version != version("concord"):
        raise Rejected(
            Reason.OTHER_VERSION,
            f"it has Concord {census.app_version or 'of no version'}, the server {version('concord')}: install the server's",
        )
    if census.anchor_digest != anchors.digest:
        raise Rejected(
            Reason.OTHER_ANCHORS,
            f"its anchors are {census.anchor_digest[:12]}, the run's {anchors.digest[:12]}: "
            "copy the server's anchor folder to it",
        )
    if not sum(holding.examples for holding in census.holdings):
        raise Rejected(Reason.NO_DATA, "it holds no training sample: check its data folder")
    for holding in census.holdings:
        if not holding.labelled <= holding.examples <= MOST_EXAMPLES:
            what = f"{holding.examples} samples of {holding.modality!r}, {holding.labelled} of them with a label"
            raise Rejected(Reason.CLAIMED_EXAMPLES, f"its census says {what}")
    known = {modality for modality, samples in anchors.modalities.items() if len(samples) or anchors.of_graphs}
    unknown = [h.modality for h in census.holdings if h.modality not in known]
    if unknown:
        raise Rejected(Reason.NO_DATA, f"the anchor set has no {', '.join(unknown)}")
    for holding in census.holdings:
        if encoders.get(holding.modality, holding.encoder) != holding.encoder:
            detail = f"{holding.modality} by {holding.encoder!r}, the model's is {encoders[holding.modality]!r}"
            raise Rejected(Reason.OTHER_ENCODER, f"{detail}: install the server's version of Concord on the node")
    if any(other.node == census.node for other in others):
        raise Rejected(Reason.DUPLICATE_NAME, f"another node is called {census.node!r}")


def _check_figures(report: pb.Report, expected: Expectation) -> None:
    _check_modalities(report, expected)
    for entry in report.grams:
        _check_gram(entry, expected.anchors)
    if report.HasField("prototypes"):
        _check_prototypes(report.prototypes, expected)
    if report.HasField("moments"):
        _check_moments(report.moments, expected)
    _check_class_means(report.class_means, expected)
    if report.HasField("class_answers"):
        _check_class_answers(report.class_answers, expected)
    if report.homophily:
        _check_homophily(report.homophily, expected)
    for embeddings in report.embeddings:
        _check_embeddings(embeddings, expected)
    if len(report.losses) > MOST_LOSSES or not all(map(math.isfinite, report.losses.values())):
        raise Rejected(Reason.EVALUATION, f"{len(report.losses)} losses, at most {MOST_LOSSES} finite ones are taken")
    for split in [*(e.split for e in report.evaluations), *(r.split for r in report.rankings)]:
        if len(split) > LONGEST_NAME:
            raise Rejected(Reason.EVALUATION, f"a split whose name has {len(split)} letters")
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
    gram_CC, mask_C = gram_from_wire(entry.gram, len(anchors.concepts))
    if not torch.equal(mask_C, anchors.mask(entry.modality)):
        raise Rejected(Reason.GRAM, f"{entry.modality}: its Gram is not over the concepts that have anchors")
    largest = float(gram_CC.abs().max())
    if largest > 1 + COSINE_ROUNDING:
        raise Rejected(Reason.GRAM, f"{entry.modality}: its Gram holds {largest:.4g}, and a cosine is at most 1")


def _check_prototypes(message: pb.Prototypes, expected: Expectation) -> None:
    means_CD, count_C = prototypes_from_wire(message, len(expected.anchors.concepts))
    if means_CD.shape[1] != expected.width:
        raise Rejected(Reason.WRONG_SHAPE, f"prototypes of width {means_CD.shape[1]}, the model's is {expected.width}")
    most = sum(max(h.examples, len(expected.anchors.modalities[h.modality])) for h in expected.census.holdings)
    if float(count_C.sum()) > most:
        raise Rejected(Reason.CLAIMED_EXAMPLES, f"prototypes: {count_C.sum():.0f} examples, by its census at most {most}")
    largest = float(means_CD.double().norm(dim=1).max())
    if largest > expected.norm_bound:
        raise Rejected(Reason.LARGE_NORM, f"a prototype of norm {largest:.4g}, the bound is {expected.norm_bound:.4g}")


def _check_moments(message: pb.AnchorMoments, expected: Expectation) -> None:
    if expected.semantic is None:
        raise Rejected(Reason.UNDECODABLE, "moments of anchors were not asked for")
    mean_KD, mass_K = moments_from_wire(message, *expected.semantic)
    nodes = sum(holding.examples for holding in expected.census.holdings)  # a node of several modalities counts once in each
    if float(mass_K.sum()) > nodes * (1 + MASS_ROUNDING):
        raise Rejected(Reason.CLAIMED_EXAMPLES, f"moments: a mass of {float(mass_K.sum()):.4g}, by its census at most {nodes}")
    largest = float(mean_KD.double().norm(dim=1).max())
    if largest > expected.norm_bound:
        raise Rejected(Reason.LARGE_NORM, f"the mean of an anchor has norm {largest:.4g}, the bound is {expected.norm_bound:.4g}")


def _check_class_means(told: Sequence[pb.ClassMeans], expected: Expectation) -> None:
    held = {holding.modality: holding for holding in expected.census.holdings}
    if told and not expected.tells_class_means:
        raise Rejected(Reason.UNDECODABLE, "class means were not asked for")
    if len({message.modality for message in told}) != len(told) or not {message.modality for message in told} <= held.keys():
        raise Rejected(Reason.UNKNOWN_MODALITY, f"class means of {[m.modality for m in told]}, its census names {sorted(held)}")
    for message in told:
        holding = held[message.modality]
        if feature_encoder(message.features) != holding.encoder:
            detail = f"class means of {message.features} features of {message.modality}, its census says {holding.encoder!r}"
            raise Rejected(Reason.WRONG_SHAPE, detail)
        mean_CF, count_C = class_means_from_wire(message, len(expected.anchors.concepts))
        nodes = _labelled(expected)  # those around a node may have what it lacks
        if int(count_C.sum()) > nodes:
            detail = f"class means of {int(count_C.sum())} nodes, by its census at most {nodes} have a label"
            raise Rejected(Reason.CLAIMED_EXAMPLES, detail)
        largest = float(mean_CF.double().norm(dim=1).max())
        if largest > expected.norm_bound:
            raise Rejected(Reason.LARGE_NORM, f"a class mean of norm {largest:.4g}, the bound is {expected.norm_bound:.4g}")


def _check_class_answers(told: pb.ClassAnswers, expected: Expectation) -> None:
    if not expected.tells_class_means:
        raise Rejected(Reason.UNDECODABLE, "answers by class means were not asked for")
    nodes = _labelled(expected)
    if not max(told.right, told.right_alone, told.right_bare) <= told.asked <= nodes:
        raise Rejected(Reason.CLAIMED_EXAMPLES, f"answers by class means of {told.asked} nodes, by its census at most {nodes}")


def _labelled(expected: Expectation) -> int:
    """Nodes with a label at most, by the census: one of several modalities counts once in each."""
    return sum(holding.labelled for holding in expected.census.holdings)


def _check_homophily(told: Sequence[pb.HomophilyBin], expected: Expectation) -> None:
    if not expected.tells_homophily:
        raise Rejected(Reason.UNDECODABLE, "bins of homophily were not asked for")
    _, count_B = homophily_from_wire(told)
    nodes = sum(holding.examples for holding in expected.census.holdings)  # a node of several modalities counts once in each
    if int(count_B.sum()) > nodes:
        raise Rejected(Reason.CLAIMED_EXAMPLES, f"bins of homophily of {int(count_B.sum())} nodes, by its census at most {nodes}")


def _check_embeddings(entry: pb.Embeddings, expected: Expectation) -> None:
    pooled, coordinates = matrix_from_wire(entry.pooled), matrix_from_wire(entry.coordinates)
    concepts = len(expected.anchors.concepts)
    if pooled.shape != (len(entry.labels), expected.width) or coordinates.shape != (len(entry.labels), concepts):
        shapes = f"{list(pooled.shape)} and {list(coordinates.shape)} for {len(entry.labels)} labels"
        raise Rejected(Reason.WRONG_SHAPE, f"embeddings of {entry.modality}: {shapes}")


def _check_claim(claim: pb.GroupClaim, expected: Expectation) -> None:
    modality = modality_of(claim.manifest.group)
    most = sum(h.examples for h in expected.census.holdings if not modality or h.modality == modality)
    if claim.examples > most:
        raise Rejected(
            Reason.CLAIMED_EXAMPLES, f"group {claim.manifest.group!r}: {claim.examples} examples, its census says {most}"
        )
    if expected.needs_variance and not (math.isfinite(claim.variance) and claim.variance > 0):
        raise Rejected(Reason.CLAIMED_PRECISION, f"group {claim.manifest.group!r}: a predictive variance of {claim.variance}")


def _check_update(name: str, tensors: Group, expected: Expectation) -> None:
    square = 0.0
    for key, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise Rejected(Reason.NOT_FINITE, f"group {name!r}, tensor {key!r} has a value that is not finite")
        square += float((tensor.double() - expected.sent[name][key].double()).square().sum())
    _check_norm(name, math.sqrt(square), expected)


def _check_norm(name: str, norm: float, expected: Expectation) -> None:
    if norm > expected.norm_bound:
        raise Rejected(Reason.LARGE_NORM, f"group {name!r} changed by {norm:.4g}, the bound is {expected.norm_bound:.4g}")
