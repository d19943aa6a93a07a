"""What parties to a graph tell: moments at anchors, class means of features, answers by them, bins of homophily."""

from __future__ import annotations

from collections.abc import Sequence

from concord.graphs import feature_encoder
from concord.wire.class_means import class_means_from_wire
from concord.wire.homophily import homophily_from_wire
from concord.wire.moments import moments_from_wire
from concord.wire.v1 import federation_pb2 as pb
from strategies.checks.expectation import Expectation
from strategies.checks.rejection import Reason, Rejected

MASS_ROUNDING = 1e-3


def check_moments(message: pb.AnchorMoments, expected: Expectation) -> None:
    """Means and masses at anchors; Rejected or WireError unless they were asked for and can be true."""
    if expected.semantic is None:
        raise Rejected(Reason.UNDECODABLE, "moments of anchors were not asked for")
    mean_KD, mass_K = moments_from_wire(message, *expected.semantic)
    nodes = sum(holding.examples for holding in expected.census.holdings)  # a node of several modalities counts once in each
    if float(mass_K.sum()) > nodes * (1 + MASS_ROUNDING):
        raise Rejected(Reason.CLAIMED_EXAMPLES, f"moments: a mass of {float(mass_K.sum()):.4g}, by its census at most {nodes}")
    largest = float(mean_KD.double().norm(dim=1).max())
    if largest > expected.norm_bound:
        raise Rejected(Reason.LARGE_NORM, f"the mean of an anchor has norm {largest:.4g}, the bound is {expected.norm_bound:.4g}")


def check_class_means(told: Sequence[pb.ClassMeans], expected: Expectation) -> None:
    """Class means of features; Rejected or WireError unless they were asked for and can be true."""
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


def check_class_answers(told: pb.ClassAnswers, expected: Expectation) -> None:
    """Answers by class means; Rejected or WireError unless they were asked for and can be true."""
    if not expected.tells_class_means:
        raise Rejected(Reason.UNDECODABLE, "answers by class means were not asked for")
    nodes = _labelled(expected)
    if not max(told.right, told.right_alone, told.right_bare) <= told.asked <= nodes:
        raise Rejected(Reason.CLAIMED_EXAMPLES, f"answers by class means of {told.asked} nodes, by its census at most {nodes}")


def _labelled(expected: Expectation) -> int:
    """Nodes with a label at most, by the census: one of several modalities counts once in each."""
    return sum(holding.labelled for holding in expected.census.holdings)


def check_homophily(told: Sequence[pb.HomophilyBin], expected: Expectation) -> None:
    """Bins of homophily; Rejected or WireError unless they were asked for and can be true."""
    if not expected.tells_homophily:
        raise Rejected(Reason.UNDECODABLE, "bins of homophily were not asked for")
    _, count_B = homophily_from_wire(told)
    nodes = sum(holding.examples for holding in expected.census.holdings)  # a node of several modalities counts once in each
    if int(count_B.sum()) > nodes:
        raise Rejected(Reason.CLAIMED_EXAMPLES, f"bins of homophily of {int(count_B.sum())} nodes, by its census at most {nodes}")
