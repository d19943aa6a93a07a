"""Replies of hostile parties to a graph: each is left out with its reason, and none ends the run."""

from __future__ import annotations

import copy
import math
from pathlib import Path

from flwr.app import Message
from tiny_run import (
    CENSUS,
    FINAL,
    TRAIN,
    Arrays,
    NamedNodes,
    Settings,
    edit,
    edited,
    edited_census,
    in_turn,
    instruction_of,
    lines,
    open_tiny,
    report_of,
    run_tiny,
    tiny_config,
)

from concord.wire.v1 import federation_pb2 as pb
from server_app.run import open_run

PARTIES = ("texas-1", "texas-2", "texas-3")
HOSTILE, NAME = 2, PARTIES[1]


def too_heavy(report: pb.Report, arrays: Arrays) -> None:
    report.moments.masses[0] = 1e6


def too_long(report: pb.Report, arrays: Arrays) -> None:
    report.moments.means = b"\x00\x7b" * (len(report.moments.means) // 2)  # 57344 in float16


def not_finite(report: pb.Report, arrays: Arrays) -> None:
    report.moments.means = b"\x00\x7e" * (len(report.moments.means) // 2)


def other_shape(report: pb.Report, arrays: Arrays) -> None:
    report.moments.anchors += 1


def unasked(report: pb.Report, arrays: Arrays) -> None:
    report.class_means.add(modality="features", features=1703, counts=[0] * 5)


def of_other_features(report: pb.Report, arrays: Arrays) -> None:
    report.class_means[0].features = 1 << 31


def of_more_nodes(report: pb.Report, arrays: Arrays) -> None:
    report.class_means[0].counts[0] = 10_000


def of_large_values(report: pb.Report, arrays: Arrays) -> None:
    report.class_means[0].means.scales[:] = [1e6] * len(report.class_means[0].means.scales)


def of_no_modality(report: pb.Report, arrays: Arrays) -> None:
    report.class_means[0].modality = "prose"


def more_right_than_asked(report: pb.Report, arrays: Arrays) -> None:
    report.class_answers.right = report.class_answers.asked + 1


def of_more_labels(report: pb.Report, arrays: Arrays) -> None:
    report.class_answers.asked = 10_000


def of_more_than_64_bits(report: pb.Report, arrays: Arrays) -> None:
    report.class_means[0].counts[0] = 2**63


def of_more_than_64_bits_together(report: pb.Report, arrays: Arrays) -> None:
    report.class_means[0].counts[:2] = [2**62, 2**62]


def a_gram(report: pb.Report, arrays: Arrays) -> None:
    report.grams.add(modality="features", gram=pb.Gram(concepts=5, mask=b"\0"))


def prototypes_of_no_class(report: pb.Report, arrays: Arrays) -> None:
    report.prototypes.CopyFrom(pb.Prototypes(means=pb.Matrix(rows=0, columns=64)))


def twice(report: pb.Report, arrays: Arrays) -> None:
    report.class_means.append(report.class_means[0])


ATTACKS = {
    "too heavy": (too_heavy, "claimed-examples"),
    "too long": (too_long, "large-norm"),
    "not finite": (not_finite, "undecodable"),
    "another shape": (other_shape, "undecodable"),
}


def test_hostile_moments_are_left_out_with_their_reason(graph: Settings, tmp_path: Path) -> None:
    attacks = in_turn(HOSTILE, (edit(change) for change, _ in ATTACKS.values()), 1)
    result = run_tiny(tmp_path, {**graph, "rounds": len(ATTACKS)}, PARTIES, attacks)
    assert [(r.round, r.node, r.reason) for r in result.rejections] == [
        (round_, NAME, reason) for round_, (_, reason) in enumerate(ATTACKS.values(), 1)
    ]
    assert all(math.isfinite(a.accuracy) for a in result.accuracy["test"].values())


def test_hostile_class_means_are_left_out_with_their_reason(graph: Settings, tmp_path: Path) -> None:
    attacks = {
        of_other_features: "wrong-shape",
        of_more_nodes: "claimed-examples",
        of_large_values: "large-norm",
        of_no_modality: "unknown-modality",
        of_more_than_64_bits: "undecodable",
        of_more_than_64_bits_together: "undecodable",
        twice: "unknown-modality",
    }
    intercept = in_turn(HOSTILE, (edit(change) for change in attacks), 1)
    result = run_tiny(tmp_path, {**graph, "rounds": len(attacks)}, PARTIES, intercept)
    assert [(r.round, r.node, r.reason) for r in result.rejections] == [
        (round_, NAME, reason) for round_, reason in enumerate(attacks.values(), 1)
    ]


def test_what_is_never_told_of_a_graph_is_left_out(graph: Settings, tmp_path: Path) -> None:
    attacks = {a_gram: "gram", prototypes_of_no_class: "undecodable"}
    intercept = in_turn(HOSTILE, (edit(change) for change in attacks), 1)
    result = run_tiny(tmp_path, {**graph, "rounds": len(attacks)}, PARTIES, intercept)
    assert [(r.round, r.node, r.reason) for r in result.rejections] == [
        (round_, NAME, reason) for round_, reason in enumerate(attacks.values(), 1)
    ]


def test_hostile_answers_by_class_means_are_left_out(graph: Settings, tmp_path: Path) -> None:
    intercept = in_turn(HOSTILE, [edit(more_right_than_asked), edit(of_more_labels)], 2)
    result = run_tiny(tmp_path, {**graph, "rounds": 3}, PARTIES, intercept)
    assert [(r.round, r.node, r.reason) for r in result.rejections] == [(round_, NAME, "claimed-examples") for round_ in (2, 3)]


def test_class_means_travel_once_and_a_party_that_told_late_is_heard(graph: Settings, tmp_path: Path) -> None:
    told: dict[int, list[int]] = {}
    heard: dict[int, list[int]] = {}

    def look(node_id: int, message: Message, reply: Message) -> Message:
        if message.metadata.message_type == TRAIN:
            round_ = instruction_of(message).round
            told.setdefault(round_, []).append(len(report_of(reply).class_means))
            heard.setdefault(round_, []).append(len(instruction_of(message).class_means))
            if round_ == 1 and node_id == HOSTILE:
                return edited(reply, twice)
        return reply

    result = run_tiny(tmp_path, {**graph, "rounds": 4}, PARTIES, look)
    assert [(r.round, r.node) for r in result.rejections] == [(1, NAME)]
    assert told == {1: [1, 1, 1], 2: [0, 1, 0], 3: [0, 0, 0], 4: [0, 0, 0]}
    assert heard == {1: [0, 0, 0], 2: [1, 0, 1], 3: [1, 1, 1], 4: [0, 0, 0]}


def test_a_census_that_claims_too_much_is_refused(graph: Settings, tmp_path: Path) -> None:
    def claim(census: pb.Census) -> None:
        census.holdings[0].labelled = 2**40 + 1
        census.holdings[0].examples = 2**40 + 1

    def intercept(node_id: int, message: Message, reply: Message) -> Message:
        mine = node_id == HOSTILE and message.metadata.message_type == CENSUS
        return edited_census(reply, claim) if mine else reply

    result = run_tiny(tmp_path, {**graph, "rounds": 1}, PARTIES, intercept)
    assert [(r.round, r.node, r.reason) for r in result.rejections] == [(0, NAME, "claimed-examples")]


def test_the_largest_claims_that_a_census_may_make_end_no_run(graph: Settings, tmp_path: Path) -> None:
    def claim(census: pb.Census) -> None:
        census.holdings[0].labelled = census.holdings[0].examples = 2**40

    def lie(report: pb.Report) -> None:
        for means in report.class_means:
            means.counts[:] = [2**37] * len(means.counts)
        report.class_answers.asked = report.class_answers.right_bare = 2**40

    def intercept(node_id: int, message: Message, reply: Message) -> Message | None:
        if node_id != HOSTILE:
            return reply
        if message.metadata.message_type == CENSUS:
            return edited_census(reply, claim)
        return edited(reply, lambda report, arrays: lie(report)) if message.metadata.message_type == TRAIN else reply

    result = run_tiny(tmp_path, {**graph, "rounds": 3}, PARTIES, intercept)
    assert result.rejections == []
    told = [line for line in lines(tmp_path, "grounding") if line["round"] == 3]
    assert 0 < told[0]["asked"] < 1000


def test_without_grounding_no_class_means_travel(graph: Settings, tmp_path: Path) -> None:
    settings = {**graph, "rounds": 1, "stage.grounding-weight": 0.0}
    result = run_tiny(tmp_path, settings, PARTIES, in_turn(HOSTILE, [edit(unasked)], 1))
    assert [(r.node, r.reason) for r in result.rejections] == [(NAME, "undecodable")]


def more_first_than_asked(report: pb.Report, arrays: Arrays) -> None:
    report.rankings[0].first = report.rankings[0].questions + 1


def ranks_too_high(report: pb.Report, arrays: Arrays) -> None:
    report.rankings[0].reciprocal_ranks = report.rankings[0].questions


def ranks_not_finite(report: pb.Report, arrays: Arrays) -> None:
    report.rankings[0].reciprocal_ranks = math.nan


def chance_above_all(report: pb.Report, arrays: Arrays) -> None:
    report.rankings[0].chance = math.inf


def ranks_of_other_questions(report: pb.Report, arrays: Arrays) -> None:
    report.rankings[0].kind = "features->links"


def ranks_told_twice(report: pb.Report, arrays: Arrays) -> None:
    report.rankings.append(report.rankings[0])


def test_hostile_ranks_are_left_out_with_their_reason(graph: Settings, tmp_path: Path) -> None:
    impossible = (more_first_than_asked, ranks_too_high, ranks_not_finite, chance_above_all)
    attacks = (*impossible, ranks_of_other_questions, ranks_told_twice)
    settings = {**graph, "scenario": "graph=texas+task=links", "rounds": len(attacks)}
    result = run_tiny(tmp_path, settings, PARTIES, in_turn(HOSTILE, (edit(change) for change in attacks), 1))
    reasons = ["evaluation"] * 4 + ["unknown-modality"] * 2
    assert [(r.round, r.node, r.reason) for r in result.rejections] == [(i, NAME, why) for i, why in enumerate(reasons, 1)]


def test_moments_that_nobody_asked_for_are_left_out(graph: Settings, tmp_path: Path) -> None:
    def add(report: pb.Report, arrays: Arrays) -> None:
        report.moments.anchors = 3

    result = run_tiny(tmp_path, {**graph, "method": "fedavg", "rounds": 1}, PARTIES, in_turn(HOSTILE, [edit(add)], 1))
    assert [(r.node, r.reason) for r in result.rejections] == [(NAME, "undecodable")]


def few_nodes(report: pb.Report, arrays: Arrays) -> None:
    report.homophily[0].nodes = 4


def more_nodes_than_there_are(report: pb.Report, arrays: Arrays) -> None:
    report.homophily[0].nodes = 184


def endless_temperature(report: pb.Report, arrays: Arrays) -> None:
    report.homophily[0].temperature = math.inf


def bin_told_twice(report: pb.Report, arrays: Arrays) -> None:
    report.homophily.append(report.homophily[0])


HOSTILE_BINS = {
    "few nodes": (few_nodes, "undecodable"),
    "more nodes than there are": (more_nodes_than_there_are, "claimed-examples"),
    "an endless temperature": (endless_temperature, "undecodable"),
    "a bin told twice": (bin_told_twice, "undecodable"),
}


def test_homophily_is_told_at_the_end_alone_and_hostile_bins_are_left_out_with_their_reason(
    graph: Settings, tmp_path: Path
) -> None:
    final: dict[int, Message] = {}

    def look(node_id: int, message: Message, reply: Message) -> Message:
        if message.metadata.message_type == TRAIN:
            assert not report_of(reply).homophily
        elif message.metadata.message_type == FINAL:
            final[node_id] = copy.deepcopy(reply)
        return reply

    run = open_tiny(tmp_path, {**graph, "rounds": 1}, PARTIES, look)
    run.rounds()
    told = [report_of(reply).homophily for reply in final.values()]
    assert sum(one.nodes for bins in told for one in bins) == sum(line["nodes"] for line in lines(tmp_path, "homophily")) > 90
    assert run.strategy.conclude(final).rejections == ()
    for change, reason in HOSTILE_BINS.values():
        outcome = run.strategy.conclude({**final, HOSTILE: edited(copy.deepcopy(final[HOSTILE]), change)})
        assert [(r.node, r.reason) for r in outcome.rejections] == [(NAME, reason)], change.__name__


def test_homophily_that_nobody_asked_for_is_left_out(graph: Settings, tmp_path: Path) -> None:
    def add(report: pb.Report, arrays: Arrays) -> None:
        report.homophily.add(bin=3, nodes=9, temperature=1.0, gate=0.5)

    attacks = in_turn(HOSTILE, [edit(add)], 1)
    result = run_tiny(tmp_path, {**graph, "stage.homophily-control": False, "rounds": 1}, PARTIES, attacks)
    assert [(r.round, r.node, r.reason) for r in result.rejections] == [(1, NAME, "undecodable")]
    assert lines(tmp_path, "homophily") == []


def test_a_party_with_other_classes_is_refused(graph: Settings, tmp_path: Path) -> None:
    config = tiny_config(tmp_path, graph)
    grid = NamedNodes(config, PARTIES)
    grid.context(HOSTILE).run_config["scenario"] = "graph=texas+drift=encoder"
    result = open_run(config, grid).rounds()
    assert [(r.round, r.node, r.reason) for r in result.rejections] == [(0, NAME, "other-anchors")]
