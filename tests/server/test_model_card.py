"""The model card: the figures of the run, nothing that is markup by accident, and lines that load the model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from tiny_run import ONE_EACH, Settings, open_tiny, tiny_config

from client_app.inference.description import load_description
from concord.run_folder import RunFolder
from server_app.card import model_card, table
from server_app.results import Node, Result


def trained(folder: Path, settings: Settings) -> tuple[str, Result, Path]:
    run = open_tiny(folder, {"lr": 0.05, "rounds": 1, **settings}, ONE_EACH[:2])
    result = run.rounds()
    return (RunFolder(folder).model / "README.md").read_text(), result, RunFolder(folder).model


@pytest.mark.parametrize(
    "settings", [{}, {"adapter.scope": "modality", "scenario": "local-heads"}, {"adapter.kind": "full"}], ids=str
)
def test_the_card_has_the_figures_of_the_run_and_its_lines_load_the_model(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card, result, folder = trained(tmp_path, settings)
    for split, by_modality in result.accuracy.items():
        for modality, figure in by_modality.items():
            assert f"| {split} | {modality} | {figure.accuracy:.3f} | {figure.macro_f1:.3f} | {figure.examples} |" in card
    for node in result.nodes:
        assert f"| {node.name} | {node.modalities[0]} | {node.examples} | {node.labelled} |" in card
    assert ("Heads stayed with the nodes" in card) == (settings.get("scenario") == "local-heads")
    assert ("magnitudes" in card) == (settings.get("adapter.kind") != "full")
    assert list(folder.rglob("README.md")) == [folder / "README.md"], "no other card"
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    for code in re.findall(r"^```python\n(.*?)^```$", card, re.MULTILINE | re.DOTALL):
        exec(code, names)  # noqa: S102 - of our own card
    trunk = names["trunk"]
    assert isinstance(trunk, torch.nn.Module)
    assert ("lora_A" in str(trunk)) == (settings.get("adapter.kind") != "full")


def test_names_of_others_are_no_markup(tmp_path: Path) -> None:
    _, result, folder = trained(tmp_path, {})
    named = result.model_copy(
        update={"nodes": [Node(name="<img src=x>|[a](b)\n# c", modalities=["image"], examples=1, labelled=1)]}
    )
    card = model_card(tiny_config(tmp_path), load_description(folder), named)
    assert r"| &lt;img src=x&gt;\|\[a\](b) # c | image | 1 | 1 |" in card
    assert table(["a"], [["`b`"]]) == "| a |\n| --- |\n| \\`b\\` |\n"
