"""A node's own data folder: what was dealt comes back, and only for the run that it was dealt for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tiny_run import ONE_EACH, NamedNodes, lines, run_tiny, tiny_config

from client_app.data.federation import Federation, build_federation
from client_app.data.node_folder import MANIFEST, Origin, load_node, save_node
from concord.config import RunConfig
from concord.errors import ConcordError
from concord.samples import NO_LABEL
from server_app.results import load_result
from server_app.run import open_run

ORIGIN = Origin("demo", 0, "unlabelled=word")


@pytest.fixture(scope="module")
def federation() -> Federation:
    return build_federation(ORIGIN.suite, None, ORIGIN.seed, ORIGIN.scenario)


@pytest.fixture
def folder(federation: Federation, tmp_path: Path) -> Path:
    """The data of every node of `ONE_EACH`, in folders of these names."""
    for node in federation.nodes:
        if node.name in ONE_EACH:
            assert save_node(tmp_path / node.name, node, federation.anchors, ORIGIN)
    return tmp_path


def run_config(**changes: object) -> RunConfig:
    return RunConfig(suite="demo", scenario=ORIGIN.scenario).model_copy(update=changes)


@pytest.mark.parametrize("name", ONE_EACH)
def test_what_was_dealt_comes_back(name: str, federation: Federation, folder: Path) -> None:
    dealt = next(node for node in federation.nodes if node.name == name)
    data, anchors = load_node(folder / name, run_config(), pooled=False)
    assert data.name == name
    assert anchors.digest == federation.anchors.digest
    assert data.tests.keys() == dealt.tests.keys()
    for split, tests in {"train": dealt.train, **dealt.tests}.items():
        found = data.train if split == "train" else data.tests[split]
        assert found.keys() == tests.keys()
        for modality, samples in tests.items():
            assert torch.equal(found[modality].x, samples.x)
            assert torch.equal(found[modality].y, samples.y)
            assert found[modality].ids == samples.ids


def test_hidden_labels_are_not_on_the_disk_of_the_node(folder: Path) -> None:
    data, _ = load_node(folder / ONE_EACH[1], run_config(), pooled=False)
    assert (data.train["word"].y == NO_LABEL).all()


def test_dealing_twice_changes_nothing_and_other_data_is_not_overwritten(federation: Federation, folder: Path) -> None:
    node = next(node for node in federation.nodes if node.name == ONE_EACH[0])
    assert not save_node(folder / node.name, node, federation.anchors, ORIGIN)
    with pytest.raises(ConcordError, match=r"C205 .*another node or run"):
        save_node(folder / node.name, node, federation.anchors, Origin("demo", 1, ORIGIN.scenario))


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"seed": 3}, "seed 0, the run has 3"), ({"scenario": "labelled"}, "scenario"), ({"suite": "digits"}, "suite 'demo'")],
)
def test_data_of_another_run_is_refused(changes: dict[str, object], told: str, folder: Path) -> None:
    with pytest.raises(ConcordError, match=f"C205 .*{told}"):
        load_node(folder / ONE_EACH[0], run_config(**changes), pooled=False)


def test_a_method_that_pools_all_data_is_refused(folder: Path) -> None:
    with pytest.raises(ConcordError, match=r"C205 .*in one place"):
        load_node(folder / ONE_EACH[0], run_config(method="centralised"), pooled=True)


def test_a_damaged_folder_is_told_file_by_file(folder: Path) -> None:
    mine = folder / ONE_EACH[0]
    file = mine / "train" / "image.safetensors"
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(ConcordError, match=r"C205 .*image\.safetensors"):
        load_node(mine, run_config(), pooled=False)
    file.unlink()
    with pytest.raises(ConcordError, match=r"C203 .*no training sample"):
        load_node(mine, run_config(), pooled=False)
    (mine / MANIFEST).write_text(json.dumps({"schema-version": 9}))
    with pytest.raises(ConcordError, match=r"C205 .*schema version 1"):
        load_node(mine, run_config(), pooled=False)
    (mine / MANIFEST).unlink()
    with pytest.raises(ConcordError, match=r"C205 .*node\.json is missing"):
        load_node(mine, run_config(), pooled=False)


def test_a_run_on_folders_has_the_figures_of_a_run_on_the_suite(federation: Federation, folder: Path, tmp_path: Path) -> None:
    whole = run_tiny(tmp_path / "suite", {"scenario": ORIGIN.scenario})
    config = tiny_config(tmp_path / "folders", {"scenario": ORIGIN.scenario})
    grid = NamedNodes(config, ONE_EACH)
    for node_id, name in enumerate(ONE_EACH, start=1):
        del grid.context(node_id).node_config["node"]
        grid.context(node_id).node_config["data"] = str(folder / name)
    open_run(config, grid).rounds()
    assert load_result(tmp_path / "folders").accuracy == whole.accuracy
    strip = [{k: v for k, v in line.items() if k != "seconds"} for line in lines(tmp_path / "folders", "node")]
    assert strip == [{k: v for k, v in line.items() if k != "seconds"} for line in lines(tmp_path / "suite", "node")]
