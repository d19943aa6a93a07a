"""What a run leaves in ``model/`` loads without Concord, and is the model that was trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from tiny_pretrained import WIDTH, save_tiny
from tiny_run import ONE_EACH, Settings, open_tiny
from torch import nn
from transformers import AutoModel
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from client_app.model import SHARED, MultimodalModel
from client_app.pretrained.stack import hidden_states
from client_app.trunk import lora_layers
from concord.anchors import load_anchors
from concord.run_folder import RunFolder
from server_app.run import Run


def trained(folder: Path, settings: Settings) -> tuple[Run, MultimodalModel, Path]:
    """A finished run, the model put together from its groups, and the folder of the exported one."""
    run = open_tiny(folder, {"lr": 0.05, "rounds": 1, **settings}, ONE_EACH[:2])
    run.rounds()
    state = run.strategy.state
    model = MultimodalModel(run.config, sorted(run.anchors.modalities), len(run.anchors.concepts), base=state.base or None)
    model.load_groups({name: group for name, group in state.groups.items() if name in model.groups()})
    return run, model.eval(), RunFolder(folder).model


def hidden(trunk: nn.Module, embeds_BLD: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        states: torch.Tensor = trunk(inputs_embeds=embeds_BLD).last_hidden_state
    return states


@pytest.mark.parametrize(
    "settings", [{"adapter.kind": "lora"}, {"adapter.kind": "dora"}, {"adapter.targets": "all-linear"}], ids=str
)
def test_the_adapter_loads_in_plain_peft_and_gives_the_same_hidden_states(settings: Settings, tmp_path: Path) -> None:
    run, model, folder = trained(tmp_path, settings)
    embeds_BLD = torch.randn(3, 7, run.config.model.width, generator=torch.Generator().manual_seed(0))
    plain = AutoModel.from_pretrained(folder / "trunk", add_pooling_layer=False).eval()
    assert not torch.allclose(
        hidden(plain, embeds_BLD), hidden(model.trunks[SHARED], embeds_BLD), atol=1e-3
    )  # the adapter does something
    adapted = PeftModel.from_pretrained(plain, str(folder / "adapter")).eval()
    torch.testing.assert_close(hidden(adapted, embeds_BLD), hidden(model.trunks[SHARED], embeds_BLD), atol=1e-6, rtol=1e-5)
    for name, layer in lora_layers(adapted):
        assert torch.equal(layer.lora_B["default"].weight, run.strategy.state.groups["trunk"][f"{name}.b"])


def test_adapters_of_single_modalities_load_one_by_one(tmp_path: Path) -> None:
    run, model, folder = trained(tmp_path, {"adapter.scope": "modality"})
    embeds_BLD = torch.randn(3, 7, run.config.model.width, generator=torch.Generator().manual_seed(0))
    for modality in model.modalities:
        plain = AutoModel.from_pretrained(folder / "trunk", add_pooling_layer=False).eval()
        adapted = PeftModel.from_pretrained(plain, str(folder / "adapter" / modality)).eval()
        torch.testing.assert_close(
            hidden(adapted, embeds_BLD), hidden(model.trunk_of(modality), embeds_BLD), atol=1e-6, rtol=1e-5
        )


@pytest.mark.parametrize("family", ["vit", "whisper"])
def test_an_adapter_of_any_trunk_loads_on_the_plain_model_and_on_the_exported_one(family: str, tmp_path: Path) -> None:
    name = save_tiny(tmp_path / "pretrained", family)
    _, model, folder = trained(tmp_path / "run", {"model.trunk": name, "accumulate": 2, "model.checkpointing": True})
    named, loads = AutoModel.from_pretrained(name), WhisperEncoder if family == "whisper" else AutoModel
    embeds_BLD = torch.randn(3, 7, WIDTH, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected_BLD = hidden_states(model.trunks[SHARED].get_base_model(), embeds_BLD, None)  # type: ignore[operator]
        for plain in (named.encoder if family == "whisper" else named, loads.from_pretrained(folder / "trunk")):
            assert not torch.allclose(hidden_states(plain.eval(), embeds_BLD, None), expected_BLD, atol=1e-3)
            adapted = PeftModel.from_pretrained(plain, str(folder / "adapter")).eval().get_base_model()
            torch.testing.assert_close(hidden_states(adapted, embeds_BLD, None), expected_BLD, atol=1e-6, rtol=1e-5)


def test_a_fully_trained_trunk_loads_in_plain_transformers(tmp_path: Path) -> None:
    run, model, folder = trained(tmp_path, {"adapter.kind": "full"})
    assert not (folder / "adapter").exists()
    embeds_BLD = torch.randn(3, 7, run.config.model.width, generator=torch.Generator().manual_seed(0))
    plain = AutoModel.from_pretrained(folder / "trunk", add_pooling_layer=False).eval()
    torch.testing.assert_close(hidden(plain, embeds_BLD), hidden(model.trunks[SHARED], embeds_BLD), atol=1e-6, rtol=1e-5)


def test_tokenisers_projectors_heads_and_anchors_lie_beside_it(tmp_path: Path) -> None:
    run, model, folder = trained(tmp_path, {"model.head": "modality"})
    about = json.loads((folder / "model.json").read_text())
    assert about["modalities"] == ["image", "tone", "word"]
    assert about["concepts"] == list(run.anchors.concepts)
    assert about["heads-are-trained"] is True
    assert load_anchors(folder / "anchors").digest == run.anchors.digest == about["anchors"]
    for part, modules in (("tokenisers", model.tokenisers), ("projectors", model.projectors), ("heads", model.heads)):
        saved = load_file(folder / f"{part}.safetensors")
        assert saved.keys() == modules.state_dict().keys()
        assert all(torch.equal(saved[name], tensor) for name, tensor in modules.state_dict().items())


@pytest.mark.parametrize("settings", [{}, {"adapter.scope": "modality"}, {"adapter.scope": "modality", "adapter.kind": "full"}])
def test_every_trained_tensor_of_every_group_is_in_the_export(settings: Settings, tmp_path: Path) -> None:
    """A user who loads the folder gets the embeddings of the run: nothing that travelled may be missing."""
    run, _, folder = trained(tmp_path, settings)
    files = [*folder.rglob("*.safetensors")]
    saved = [tensor for file in files if "anchors" not in file.parts for tensor in load_file(file).values()]
    for group, tensors in run.strategy.state.groups.items():
        for name, tensor in tensors.items():
            assert any(s.shape == tensor.shape and torch.equal(s, tensor) for s in saved), f"{group}/{name}"


def test_heads_that_stayed_at_home_are_said_to_be_untrained(tmp_path: Path) -> None:
    _, _, folder = trained(tmp_path, {"scenario": "local-heads"})
    assert json.loads((folder / "model.json").read_text())["heads-are-trained"] is False
