"""Every method runs from end to end, leaves what it should, and gives the same figures for the same seed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Message
from tiny_run import CENSUS, ONE_EACH, instruction_of, lines, run_tiny
from transformers import BertConfig, BertModel

from client_app.agents.methods import AGENT_METHODS
from client_app.methods import METHODS as NODE_METHODS
from concord.config import AGENTS
from concord.graphs import GRAPH_METHODS
from concord.kinds import of_all_slices
from concord.run_folder import RunFolder
from server_app.checkpoint import has_checkpoint
from strategies.registry import METHODS

AVERAGING = {"geolora", "fedavg", "centralised", "fedprox", "fedmchain"}


def figures(folder: Path) -> dict[str, Any]:
    """``result.json`` without what the clock says."""
    result: dict[str, Any] = json.loads(RunFolder(folder).result.read_text())
    del result["seconds"]
    return result


@pytest.mark.parametrize("method", NODE_METHODS)
def test_a_run_leaves_its_files_and_the_same_seed_gives_the_same_figures(method: str, tmp_path: Path) -> None:
    sent: list[set[str]] = []

    def listen(node_id: int, message: Message, reply: Message) -> Message:
        if message.metadata.message_type != CENSUS:
            sent.append({m.group for m in instruction_of(message).groups} - {"base"})
        return reply

    result = run_tiny(tmp_path / "a", {"method": method}, intercept=listen)
    folder = RunFolder(tmp_path / "a")
    for file in (folder.config, folder.metrics, folder.result, folder.report):
        assert file.stat().st_size > 0, file
    assert (folder.model / "model.json").exists() == (method in AVERAGING), "a model that nobody trained is none"
    assert has_checkpoint(folder.checkpoint)
    assert not [path for path in folder.path.rglob("*") if path.suffix in {".bin", ".pt", ".pkl", ".pickle"}]
    assert [line["event"] for line in lines(tmp_path / "a", "run")] == ["started", "finished"]
    assert result.rejections == []
    assert result.accuracy.keys() == {"random", "unseen"}
    assert all(split.keys() == {"image", "word", "tone"} for split in result.accuracy.values())
    assert result.cka.keys() == {"image|tone", "image|word", "tone|word"}
    assert len(result.retrieval["unseen"]["anchor-coordinates"]) == 6
    assert bool(result.weights) == (method in AVERAGING) == any(sent)

    run_tiny(tmp_path / "b", {"method": method})
    assert figures(tmp_path / "a") == figures(tmp_path / "b")


@pytest.mark.parametrize("method", AGENT_METHODS)
def test_a_run_of_agents_leaves_its_files_and_no_model(method: str, tmp_path: Path) -> None:
    result = run_tiny(tmp_path / "a", {"method": method, "overlay.kind": "complete"}, (*ONE_EACH, "image-forms-b"))
    folder = RunFolder(tmp_path / "a")
    for file in (folder.config, folder.metrics, folder.result, folder.report):
        assert file.stat().st_size > 0, file
    assert has_checkpoint(folder.checkpoint)
    assert not folder.model.exists(), "the server forwards, and keeps no model"
    assert [line["event"] for line in lines(tmp_path / "a", "run")] == ["started", "finished"]
    assert result.rejections == []
    for split in ("random", "unseen"):
        assert {name for name in result.accuracy[split] if of_all_slices(name)} == {"image", "word", "tone"}
        slices = {name for name in result.accuracy[split] if not of_all_slices(name)}
        assert len(slices) == (18 if method in ("parse", "dsgd-modality-sliced") else 0)
    sent = {node: one.up for node, one in result.bytes.nodes.items()}
    one_report = 10_000
    assert (sent["image-forms-a"] > one_report) == (method != "alone") == (sent["image-forms-b"] > one_report)
    assert sent["tone-north"] < one_report, "nobody can use what it learnt"
    assert ("redundant alone" in folder.report.read_text()) == (method in ("parse", "dsgd-modality-sliced"))

    run_tiny(tmp_path / "b", {"method": method, "overlay.kind": "complete"}, (*ONE_EACH, "image-forms-b"))
    assert figures(tmp_path / "a") == figures(tmp_path / "b")


def test_another_seed_gives_other_figures(tmp_path: Path) -> None:
    first, second = (run_tiny(tmp_path / str(seed), {"seed": seed, "rounds": 1}) for seed in (0, 1))
    assert first.anchors != second.anchors
    assert first.accuracy != second.accuracy


def test_the_order_in_which_nodes_connect_changes_nothing(tmp_path: Path) -> None:
    names = ("image-forms-a", "image-forms-b", "word-west-europe")
    run_tiny(tmp_path / "a", {}, names)
    run_tiny(tmp_path / "b", {}, names[::-1])
    assert figures(tmp_path / "a") == figures(tmp_path / "b")


def test_a_pretrained_trunk_with_dropout_gives_the_same_figures_in_any_order(tmp_path: Path) -> None:
    shape = BertConfig(vocab_size=3, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    assert shape.hidden_dropout_prob > 0
    BertModel(shape).save_pretrained(tmp_path / "trunk")
    settings = {"model.trunk": str(tmp_path / "trunk"), "rounds": 1}
    first = run_tiny(tmp_path / "a", settings)
    run_tiny(tmp_path / "b", settings, ONE_EACH[::-1])
    assert figures(tmp_path / "a") == figures(tmp_path / "b")
    assert first.rejections == []


def test_both_sides_know_the_same_methods() -> None:
    assert METHODS.keys() == NODE_METHODS.keys() | AGENT_METHODS.keys() | {*GRAPH_METHODS}
    assert all(METHODS[name].pooled == method.pooled for name, method in NODE_METHODS.items())
    assert {name for name, entry in METHODS.items() if entry.of_agents} == AGENT_METHODS.keys() == set(AGENTS)
