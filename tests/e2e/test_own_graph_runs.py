"""Runs on own graphs: each method and task on two folders, with nothing but folders and an anchor set."""

from __future__ import annotations

from pathlib import Path

import pytest
from own_graph import write_graph
from tiny_run import Settings, run_tiny

from client_app.data.own_graph.anchors import graph_anchors
from concord.anchors import save_anchors

PARTIES = ("north", "south")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    above = tmp_path_factory.mktemp("libraries")
    south = write_graph(above / "data" / "south", 30, seed=1) / "dataset.toml"
    write_graph(above / "data" / "north")
    south.write_text(south.read_text().replace('numbers = ["year", "pages"]\n', ""))
    save_anchors(graph_anchors([above / "data"]), above / "anchors")
    return {
        "suite": "own-graph",
        "data": str(above / "data"),
        "anchors": str(above / "anchors"),
        "method": "stage",
        "lr": 0.01,
        "graph.hidden": 16,
    }


def test_stage_trains_on_folders_that_share_a_modality(folders: Settings, tmp_path: Path) -> None:
    result = run_tiny(tmp_path, folders, PARTIES)
    assert result.rejections == []
    assert result.weights == {}
    assert [(node.name, node.modalities) for node in result.nodes] == [("north", ["numbers", "text"]), ("south", ["text"])]
    assert result.accuracy["test"].keys() == {"fused", "fused without numbers", "fused without text"}
    assert (tmp_path / "report.html").exists()


@pytest.mark.parametrize(("method", "task"), [("fedavg", "classes"), ("centralised", "links"), ("stage", "retrieval")])
def test_other_methods_and_tasks_run_too(method: str, task: str, folders: Settings, tmp_path: Path) -> None:
    architecture = "stage" if method == "stage" else "mlp"
    settings = {**folders, "method": method, "scenario": f"task={task}", "graph.architecture": architecture, "rounds": 1}
    result = run_tiny(tmp_path, settings, PARTIES)
    assert result.rejections == []
    asked = {kind: ranked.questions for kind, ranked in result.ranking.get("test", {}).items()}
    if task == "classes":
        assert {"head", "input.numbers", "input.text"} <= result.weights.keys()
        assert result.accuracy["test"]["fused"].examples > 8
    elif task == "links":
        assert asked["links"] > 10
    else:
        assert asked.keys() == {"numbers->text", "text->numbers"}
        assert all(asked.values())


def test_links_of_nodes_without_features_are_no_false_claim(tmp_path: Path) -> None:
    for name, seed in (("north", 0), ("south", 1)):
        described = write_graph(tmp_path / "data" / name, seed=seed) / "dataset.toml"
        described.write_text(described.read_text().replace('numbers = ["year", "pages"]\n', ""))
    save_anchors(graph_anchors([tmp_path / "data"]), tmp_path / "anchors")
    folders = {"suite": "own-graph", "data": str(tmp_path / "data"), "anchors": str(tmp_path / "anchors")}
    settings: Settings = {**folders, "method": "fedavg", "scenario": "task=links", "graph.architecture": "mlp", "rounds": 1}
    result = run_tiny(tmp_path / "run", settings, PARTIES)
    assert result.rejections == []
    assert result.weights["head"].keys() == set(PARTIES)


def test_it_learns_what_the_features_tell(folders: Settings, tmp_path: Path) -> None:
    steps: Settings = {"rounds": 2, "local-steps": 100, "graph.dropout": 0.0}
    settings = {**folders, **steps, "method": "local", "graph.architecture": "mlp"}
    assert run_tiny(tmp_path, settings, PARTIES).accuracy["test"]["fused"].accuracy > 0.7  # by chance 0.33
