"""Any family of pretrained encoders as the trunk: its own layers over token embeddings, adapted where they attend."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from tiny_pretrained import KINDS, WIDTH, raw_sample, save_tiny
from tiny_run import Settings, tiny_config
from torch import Tensor, nn
from transformers import AutoModel
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from client_app.encoders.encoder import Tokens
from client_app.model import MultimodalModel
from client_app.pretrained.folder import find_pretrained
from client_app.pretrained.inputs import reader_of
from client_app.pretrained.model import load_model
from client_app.pretrained.stack import adapter_targets, hidden_states
from client_app.trunk import adapt_trunk, build_trunk, in_bfloat16, lora_layers, pool
from concord.config import RunConfig, parse_config
from concord.errors import ConcordError

CPU = torch.device("cpu")


def trunk_config(name: str, settings: Settings | None = None) -> RunConfig:
    return parse_config({"model.trunk": name, "adapter.rank": 2, "adapter.alpha": 2.0, **(settings or {})})


def plain(name: str, family: str) -> nn.Module:
    """The model as plain transformers loads it, or the part of it that is used."""
    model: nn.Module = AutoModel.from_pretrained(name).eval()
    return {"siglip": lambda: model.vision_model, "whisper": lambda: model.encoder}.get(family, lambda: model)()


def embeddings(count: int = 3) -> Tensor:
    return torch.randn(count, 6, WIDTH, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("family", KINDS)
@torch.no_grad()
def test_the_layers_make_of_a_models_own_embeddings_what_the_model_makes_of_them(family: str, tmp_path: Path) -> None:
    name = save_tiny(tmp_path, family)
    model, pretrained = plain(name, family), find_pretrained(name)
    first = next(m for path, m in model.named_modules() if re.search(r"\.(layer|layers)\.0$", f".{path}"))
    at = model.encoder if pretrained.family.encoder else first
    seen: list[Tensor] = []
    at.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append((args[0] if args else kwargs["hidden_states"]).clone()), with_kwargs=True
    )
    if KINDS[family] == "text":
        seen = [embeddings()]
        reference = model(inputs_embeds=seen[0]).last_hidden_state
    else:
        reference = model(**reader_of(pretrained)(raw_sample(family, 0)).tensors).last_hidden_state
    torch.testing.assert_close(hidden_states(load_model(pretrained), seen[0], None), reference, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", KINDS)
@torch.no_grad()
def test_tokens_that_are_masked_do_not_matter(family: str, tmp_path: Path) -> None:
    trunk = build_trunk(trunk_config(save_tiny(tmp_path, family)))
    embeds_BLD, mask_BL = embeddings(), torch.arange(6).expand(3, 6) < 4
    other_BLD = embeds_BLD.masked_fill(~mask_BL[..., None], 5.0)
    before = other_BLD.clone()
    torch.testing.assert_close(pool(trunk, Tokens(other_BLD, mask_BL)), pool(trunk, Tokens(embeds_BLD, mask_BL)))
    assert torch.equal(other_BLD, before)  # what came in is left alone
    assert not torch.allclose(pool(trunk, Tokens(other_BLD)), pool(trunk, Tokens(embeds_BLD)), atol=1e-3)


QUERIES_AND_VALUES = {
    **dict.fromkeys(KINDS, ("q_proj", "v_proj")),
    **dict.fromkeys(("bert", "roberta"), ("query", "value")),
    "distilbert": ("q_lin", "v_lin"),
    "mpnet": ("q", "v"),
}


@pytest.mark.parametrize("family", KINDS)
def test_queries_and_values_of_every_layer_are_adapted_and_nothing_else(family: str, tmp_path: Path) -> None:
    config = trunk_config(save_tiny(tmp_path, family))
    layers = [name for name, _ in lora_layers(adapt_trunk(build_trunk(config), config, 2))]
    assert {name.rpartition(".")[2] for name in layers} == set(QUERIES_AND_VALUES[family])
    assert len(layers) == 4  # of two layers


def test_all_linear_layers_are_those_of_the_transformer_layers_alone(tmp_path: Path) -> None:
    config = trunk_config(save_tiny(tmp_path, "siglip"), {"adapter.targets": "all-linear"})
    layers = [name for name, _ in lora_layers(adapt_trunk(build_trunk(config), config, 2))]
    assert len(layers) == 2 * 6
    assert all(name.startswith("encoder.layers.") for name in layers)


def test_where_attention_has_no_names_of_its_own_all_linear_layers_are_adapted() -> None:
    class Odd(nn.Module):
        config = type("Config", (), {"model_type": "odd"})()
        joint = nn.Linear(2, 6)

    assert adapter_targets(Odd(), "auto") == "all-linear"
    assert adapter_targets(Odd(), "joint, other") == ["joint", "other"]


@pytest.mark.parametrize("kind", ["lora", "dora"])
@pytest.mark.parametrize("family", ["bert", "mpnet", "vit", "dinov2", "siglip", "wav2vec2", "whisper", "ast"])
@torch.no_grad()
def test_an_adapter_loads_in_plain_peft_on_the_plain_model(family: str, kind: str, tmp_path: Path) -> None:
    name = save_tiny(tmp_path / "plain", family)
    config = trunk_config(name, {"adapter.kind": kind})
    base = build_trunk(config)
    base.save_pretrained(tmp_path / "trunk")  # type: ignore[operator]
    adapted = adapt_trunk(base, config, 2).eval()
    for _, layer in lora_layers(adapted):
        nn.init.normal_(layer.lora_B["default"].weight, generator=torch.Generator().manual_seed(1))
    adapted.save_pretrained(str(tmp_path / "adapter"))  # type: ignore[operator]
    reference = pool(adapted, Tokens(embeddings()))
    saved = WhisperEncoder if family == "whisper" else AutoModel
    for model in (plain(name, family), saved.from_pretrained(tmp_path / "trunk").eval()):
        before = hidden_states(model, embeddings(), None).mean(1)
        loaded = PeftModel.from_pretrained(model, str(tmp_path / "adapter")).eval()
        torch.testing.assert_close(pool(loaded, Tokens(embeddings())), reference, atol=1e-5, rtol=1e-5)
        assert not torch.allclose(before, reference, atol=1e-3)


def gradients(config: RunConfig, calls: list[Any] | None = None) -> dict[str, Tensor]:
    """Gradients of all that is trained, and of the embeddings; `calls` gets an entry whenever a first layer is computed."""
    embeds_BLD = embeddings().requires_grad_()
    trunk = adapt_trunk(build_trunk(config), config, 2).train()
    for _, layer in lora_layers(trunk):
        nn.init.normal_(layer.lora_B["default"].weight, generator=torch.Generator().manual_seed(1))
    if calls is not None:
        next(layer for _, layer in lora_layers(trunk)).register_forward_hook(lambda *call: calls.append(call))
    torch.manual_seed(7)  # dropout
    pool(trunk, Tokens(embeds_BLD), bfloat16=in_bfloat16(config, CPU)).square().sum().backward()
    assert embeds_BLD.grad is not None
    return {"embeddings": embeds_BLD.grad, **{name: p.grad for name, p in trunk.named_parameters() if p.grad is not None}}


@pytest.mark.parametrize("family", ["tiny", "bert", "vit", "dinov2", "siglip", "wav2vec2", "whisper", "ast"])
def test_checkpointing_gives_the_same_gradients(family: str, tmp_path: Path) -> None:
    name = "tiny" if family == "tiny" else save_tiny(tmp_path, family)
    settings: Settings = {"model.width": WIDTH}
    once: list[Any] = []
    twice: list[Any] = []
    usual = gradients(trunk_config(name, settings), once)
    saving = gradients(trunk_config(name, {**settings, "model.checkpointing": True}), twice)
    assert (len(once), len(twice)) == (1, 2)
    assert usual.keys() == saving.keys()
    for key, gradient in usual.items():
        torch.testing.assert_close(saving[key], gradient)
        assert gradient.any()


@pytest.mark.parametrize("family", ["bert", "wav2vec2", "vit"])
def test_in_bfloat16_gradients_are_nearly_those_of_float32(family: str, tmp_path: Path) -> None:
    name = save_tiny(tmp_path, family)
    settings: Settings = {"model.width": WIDTH}
    exact = gradients(trunk_config(name, {**settings, "model.precision": "float32"}))
    rounded = gradients(trunk_config(name, {**settings, "model.precision": "bfloat16"}))
    one, other = (torch.cat([g.flatten() for g in part.values()]) for part in (exact, rounded))
    assert other.dtype == torch.float32
    assert not torch.equal(one, other)
    assert torch.nn.functional.cosine_similarity(one, other, dim=0) > 0.99


def test_by_default_only_a_pretrained_trunk_on_a_gpu_computes_in_bfloat16() -> None:
    tiny, large = RunConfig(), trunk_config("somebody/large")
    gpu = torch.device("cuda")
    assert [in_bfloat16(large, device) for device in (gpu, CPU)] == [True, False]
    assert not in_bfloat16(tiny, gpu)
    assert in_bfloat16(trunk_config("tiny", {"model.precision": "bfloat16"}), CPU)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("family", ["bert", "whisper", "siglip"])
def test_a_model_of_any_modality_has_such_a_trunk(family: str, checkpointing: bool, tmp_path: Path) -> None:
    settings: Settings = {"model.trunk": save_tiny(tmp_path / "trunk", family), "model.checkpointing": checkpointing}
    config = tiny_config(tmp_path, {**settings, "adapter.scope": "modality"})
    model = MultimodalModel(config, ["word", "image"], 3)
    z_BD = model.embed("word", torch.ones(2, 24, dtype=torch.int64))
    assert z_BD.shape == (2, WIDTH)
    z_BD[:, 0].sum().backward()
    assert all(p.grad is not None and p.grad.any() for name, p in model.groups()["trunk.word"].items() if name.endswith(".b"))


def test_the_exported_whisper_encoder_is_no_trunk_and_says_so(tmp_path: Path) -> None:
    build_trunk(trunk_config(save_tiny(tmp_path / "plain", "whisper"))).save_pretrained(tmp_path / "trunk")  # type: ignore[operator]
    with pytest.raises(ConcordError, match=r"C103.*its weights lack"):
        build_trunk(trunk_config(str(tmp_path / "trunk")))


def test_building_a_pretrained_trunk_leaves_the_global_random_state_alone(tmp_path: Path) -> None:
    config = trunk_config(save_tiny(tmp_path, "bert"))
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build_trunk(config)
    assert torch.equal(torch.rand(3), expected)
