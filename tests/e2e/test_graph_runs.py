"""Runs on a graph: every method, drift and task, what travels, what is seen in the report, and a run that was cut."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from flwr.app import Message
from power_cut import run_whole_and_cut
from tiny_run import (
    TRAIN,
    NamedNodes,
    Settings,
    instruction_of,
    lines,
    report_of,
    run_tiny,
    tiny_config,
)

from client_app.model_check import model_width
from concord.anchors import anchors_of_graph
from concord.config import RunConfig, parse_config
from concord.errors import ConcordError
from concord.graphs import GRAPH_METHODS
from concord.run_folder import RunFolder
from concord.wire.v1 import federation_pb2 as pb
from server_app.run import open_run
from strategies.registry import check_method

PARTIES = ("texas-1", "texas-2", "texas-3")
HOSTILE, NAME = 2, PARTIES[1]


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


def test_a_party_that_lost_its_disk_is_told_the_class_means_again(graph: Settings, tmp_path: Path) -> None:
    heard: dict[int, int] = {}
    config = tiny_config(tmp_path / "run", {**graph, "rounds": 4})
    disks = [tmp_path / f"disk-{number}" for number in range(len(PARTIES))]

    def look(node_id: int, message: Message, reply: Message) -> Message:
        if node_id == HOSTILE and message.metadata.message_type == TRAIN:
            round_ = instruction_of(message).round
            heard[round_] = len(instruction_of(message).class_means)
            if round_ == 2:
                shutil.rmtree(disks[HOSTILE - 1])
        return reply

    nodes = NamedNodes(config, PARTIES, look)
    for node_id, disk in enumerate(disks, 1):
        nodes.context(node_id).node_config["state-folder"] = str(disk)
    assert open_run(config, nodes).rounds().rejections == []
    assert heard == {1: 0, 2: 1, 3: 0, 4: 1}  # in round 3 its answer says that it has none


def test_no_moments_travel_where_nothing_is_learnt_from_the_table(graph: Settings, tmp_path: Path) -> None:
    seen: list[bool] = []

    def look(node_id: int, message: Message, reply: Message) -> Message:
        if message.metadata.message_type == TRAIN:
            seen.extend([report_of(reply).HasField("moments"), instruction_of(message).HasField("table")])
        return reply

    result = run_tiny(tmp_path, {**graph, "stage.agreement-weight": 0.0}, PARTIES, look)
    assert result.rejections == []
    assert len(seen) == 2 * 2 * len(PARTIES)
    assert not any(seen)
    assert (tmp_path / "report.html").exists()


def test_class_means_that_no_message_takes_are_told_before_anything_starts(graph: Settings) -> None:
    anchors = anchors_of_graph([str(c) for c in range(100)], {"words": 50_000})
    config = parse_config({**graph})
    with pytest.raises(ConcordError, match=r"C103(?s:.)*50000 features of words and 100 classes(?s:.)*grounding-weight = 0"):
        model_width(config, anchors)
    assert model_width(parse_config({**graph, "stage.grounding-weight": 0.0}), anchors)


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
