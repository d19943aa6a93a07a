"""Runs on a graph: every method and drift, what travels, hostile moments, and a run that was cut."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import pytest
from flwr.app import Message
from made_up_graph import write_texas
from power_cut import run_whole_and_cut
from tiny_run import (
    FINAL,
    TRAIN,
    Arrays,
    NamedNodes,
    Settings,
    edit,
    edited,
    in_turn,
    instruction_of,
    lines,
    open_tiny,
    report_of,
    run_tiny,
    tiny_config,
)

from concord.config import RunConfig
from concord.errors import ConcordError
from concord.graphs import GRAPH_METHODS
from concord.run_folder import RunFolder
from concord.wire.v1 import federation_pb2 as pb
from server_app.run import open_run
from strategies.registry import check_method

PARTIES = ("texas-1", "texas-2", "texas-3")
HOSTILE, NAME = 2, PARTIES[1]


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    data = write_texas(tmp_path_factory.mktemp("packs"))
    return {
        "suite": "heterophily",
        "scenario": "graph=texas",
        "data": str(data),
        "method": "stage",
        "lr": 0.01,
        "graph.hidden": 16,
    }


@pytest.mark.parametrize("drift", ["none", "encoder", "rotation"])
@pytest.mark.parametrize("method", GRAPH_METHODS)
def test_every_method_runs_under_every_drift(method: str, drift: str, graph: Settings, tmp_path: Path) -> None:
    settings = {**graph, "method": method, "scenario": f"graph=texas+drift={drift}"}
    result = run_tiny(tmp_path, settings, PARTIES)
    assert result.rejections == []
    assert result.accuracy.keys() == {"validation", "test"}
    assert result.accuracy["test"]["fused"].examples == 53
    if method in ("fedavg", "centralised"):  # two layers: one of the modality, one that classifies
        assert result.weights.keys() == ({"head"} if drift == "encoder" else {"head", "input.features"})
        assert (tmp_path / "model" / "network.safetensors").exists()
    else:
        assert result.weights == {}


@pytest.mark.parametrize("architecture", ["sage", "mlp", "stage"])
def test_fedavg_averages_other_networks_too(architecture: str, graph: Settings, tmp_path: Path) -> None:
    result = run_tiny(tmp_path, {**graph, "method": "fedavg", "graph.architecture": architecture}, PARTIES)
    assert result.rejections == []
    assert {"head", "input.features"} <= result.weights.keys()


def test_it_learns(graph: Settings, tmp_path: Path) -> None:
    settings = {**graph, "method": "local", "graph.architecture": "mlp", "rounds": 4, "local-steps": 20}
    assert run_tiny(tmp_path, settings, PARTIES).accuracy["test"]["fused"].accuracy > 0.45  # by chance 0.2


def test_only_moments_travel_in_stage(graph: Settings, tmp_path: Path) -> None:
    seen: list[tuple[pb.Instruction, int]] = []

    def look(node_id: int, message, reply):  # type: ignore[no-untyped-def]
        if message.metadata.message_type == TRAIN:
            seen.append((instruction_of(message), len(reply.content.array_records)))
        return reply

    result = run_tiny(tmp_path, {**graph, "rounds": 3}, PARTIES, look)
    assert all(not told.groups for told, _ in seen)
    assert [told.HasField("table") for told, _ in seen] == [told.round > 1 for told, _ in seen]
    averaged = run_tiny(tmp_path / "fedavg", {**graph, "method": "fedavg", "rounds": 3}, PARTIES)
    assert averaged.bytes.up_per_node_round > 20 * result.bytes.up_per_node_round  # class means once in three rounds


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
        twice: "unknown-modality",
    }
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


def test_without_grounding_no_class_means_travel(graph: Settings, tmp_path: Path) -> None:
    settings = {**graph, "rounds": 1, "stage.grounding-weight": 0.0}
    result = run_tiny(tmp_path, settings, PARTIES, in_turn(HOSTILE, [edit(unasked)], 1))
    assert [(r.node, r.reason) for r in result.rejections] == [(NAME, "undecodable")]


@pytest.mark.parametrize("method", ["stage", "fedavg", "local", "centralised"])
def test_links_are_learnt_and_ranked(method: str, graph: Settings, tmp_path: Path) -> None:
    result = run_tiny(tmp_path, {**graph, "method": method, "scenario": "graph=texas+task=links"}, PARTIES)
    assert result.rejections == []
    assert result.accuracy == {}
    ranked = result.ranking["test"]["links"]
    assert ranked.questions > 20
    assert 0 < ranked.chance < 0.2
    assert ranked.hits_at_1 <= ranked.mrr <= 1
    assert ranked.hits_at_1 <= ranked.hits_at_10
    assert result.bytes.up_per_node_round > 0


def test_a_country_is_looked_for_by_another_modality_of_it(worldgraph: Path, tmp_path: Path) -> None:
    settings: Settings = {
        "suite": "world",
        "scenario": "graph=borders+task=retrieval+missing=0.3+drift=rotation",
        "data": str(worldgraph),
        "method": "stage",
        "rounds": 1,
    }
    result = run_tiny(tmp_path, settings, tuple(f"borders-{number}" for number in range(1, 7)))
    assert result.rejections == []
    assert result.ranking.keys() == {"validation", "test"}
    assert {"flag->text", "text->flag", "numbers->outline"} <= result.ranking["test"].keys()
    assert all(0 < ranked.chance <= 1 and ranked.questions > 0 for ranked in result.ranking["test"].values())


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


@pytest.mark.parametrize("method", ["stage", "fedavg", "fedproto"])
def test_a_run_that_was_cut_in_round_3_ends_as_if_it_was_not(method: str, graph: Settings, tmp_path: Path) -> None:
    settings = {**graph, "method": method, "rounds": 4, "min-nodes": 3, "round-timeout": 600.0}
    run_whole_and_cut(tmp_path, settings, PARTIES)
    assert pictures(tmp_path / "cut") == pictures(tmp_path / "whole")
    assert ("Before: round 1" in pictures(tmp_path / "cut")) == (method == "stage")
    assert ("After: round 4" in pictures(tmp_path / "cut")) == (method == "stage")
    assert bool(lines(tmp_path / "cut", "homophily")) == (method == "stage")
    assert ("labelled nodes of all parties" in pictures(tmp_path / "cut")) == (method == "stage")


def pictures(folder: Path) -> str:
    """What the report says about prototypes and homophily."""
    return RunFolder(folder).report.read_text().partition('id="prototypes"')[2].partition('id="weights"')[0]


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


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"suite": "demo", "method": "stage"}, "method stage is for graphs"),
        ({"suite": "world", "method": "geolora"}, "geolora trains models of samples"),
        ({"suite": "world", "method": "parse"}, "parse trains models of samples"),
        ({"suite": "world", "method": "stage", "graph.architecture": "gcn"}, "a network of its own"),
        ({"suite": "world", "method": "fedavg", "update.values": "int8"}, "travel whole"),
        ({"suite": "world", "method": "fedproto", "scenario": "task=links"}, "agrees on classes"),
    ],
)
def test_settings_that_make_no_sense_for_graphs(settings: Settings, told: str, tmp_path: Path) -> None:
    with pytest.raises(ConcordError, match=f"C103.*{told}"):
        check_method(tiny_config(tmp_path, settings))


def test_the_network_is_chosen_by_the_method() -> None:
    assert RunConfig(method="stage").architecture == "stage"
    assert RunConfig(method="fedavg").architecture == "gcn"
