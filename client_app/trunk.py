"""The shared trunk: a transformers encoder over token embeddings, adapted by peft.

Adapter after Eklund (arXiv 2601.17986), reconstructed: W = m * (W0 + s B A) / ||W0 + s B A||_row in DoRA's form,
A with orthonormal rows from the run's seed and frozen, B trained and averaged, m trained and kept on the node.

Legend: R rank, I inputs, O outputs of a linear layer, B batch, L tokens, D width.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from client_app.encoders.encoder import Tokens
from client_app.pretrained.folder import find_pretrained
from client_app.pretrained.model import load_model
from client_app.pretrained.stack import adapter_targets, hidden_states
from concord.config import RunConfig
from concord.errors import ConcordError
from concord.functional.lowrank import orthonormal_rows
from concord.seeding import generator_for, seeded

ADAPTER = "default"
TINY = "tiny"


def build_trunk(config: RunConfig, base: Mapping[str, Tensor] | None = None) -> nn.Module:
    """The trunk without adapters: the tiny one from the run's seed, or a pretrained one by name or path.

    Args:
        config: `model.trunk` names it.
        base: weights that replace the initial ones (the server's warm-up), by parameter name.

    Raises:
        ConcordError: C103, when a pretrained trunk cannot be loaded or takes no `inputs_embeds`.
    """
    trunk = _tiny_trunk(config) if config.model.trunk == TINY else _pretrained_trunk(config)
    if base is not None:
        trunk.load_state_dict(dict(base))
    if config.model.checkpointing:
        trunk.activation_checkpointing_enable()  # type: ignore[operator]
    return trunk


def copy_trunk(trunk: nn.Module, share_weights: bool) -> nn.Module:
    """Another trunk to adapt; with `share_weights` its own weights, which adapters leave frozen, are in memory once."""
    return copy.deepcopy(trunk, {id(p): p for p in trunk.parameters()} if share_weights else {})


def adapt_trunk(trunk: nn.Module, config: RunConfig, rank: int) -> nn.Module:
    """Freezes the trunk and adds adapters of `rank`; with `adapter.kind` full, the trunk as it is, all trainable."""
    if config.adapter_kind == "full":
        return trunk
    settings = LoraConfig(
        r=rank,
        lora_alpha=config.adapter.alpha * rank / config.adapter.rank,  # s is one for all ranks
        target_modules=adapter_targets(trunk, config.adapter.targets),
        use_dora=config.adapter_kind == "dora",
        lora_dropout=0.0,
        bias="none",
    )
    with seeded(config.seed, "adapter"), warnings.catch_warnings():  # peft draws an A of its own first
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)  # peft asks transformers
        adapted: nn.Module = get_peft_model(trunk, settings)
    for name, layer in lora_layers(adapted):
        a_RI = layer.lora_A[ADAPTER].weight
        shared_a_RI = orthonormal_rows(config.adapter.rank, a_RI.shape[1], generator_for(config.seed, "adapter", name))
        a_RI.data.copy_(shared_a_RI[:rank])
        a_RI.requires_grad_(config.adapter.train_a)
    return adapted


def pool(trunk: nn.Module, tokens: Tokens, *, bfloat16: bool = False) -> Tensor:
    """The mean [B, D] of what the trunk makes of the real tokens of each input; with `bfloat16`, in that precision."""
    embeds_BLD, mask_BL = tokens
    model = trunk.get_base_model() if isinstance(trunk, PeftModel) else trunk
    with torch.autocast(embeds_BLD.device.type, torch.bfloat16, enabled=bfloat16):
        hidden_BLD = hidden_states(model, embeds_BLD, mask_BL).to(embeds_BLD.dtype)
    if mask_BL is None:
        return hidden_BLD.mean(1)
    weight_BL1 = mask_BL.to(hidden_BLD.dtype)[..., None]
    pooled_BD: Tensor = (hidden_BLD * weight_BL1).sum(1) / weight_BL1.sum(1)
    return pooled_BD


def in_bfloat16(config: RunConfig, device: torch.device) -> bool:
    """Whether the trunk computes in bfloat16 on that device."""
    if config.model.precision == "auto":
        return device.type == "cuda" and config.model.trunk != TINY
    return config.model.precision == "bfloat16"


def lora_layers(trunk: nn.Module) -> Iterator[tuple[str, LoraLayer]]:
    """The adapted linear layers by their name in the trunk, in order."""
    for name, module in trunk.named_modules():
        if isinstance(module, LoraLayer):
            yield name.removeprefix("base_model.model."), module


def shared_tensors(trunk: nn.Module) -> dict[str, nn.Parameter]:
    """What of the trunk travels: B (and A, when it is trained) of each adapted layer, or every weight."""
    layers = dict(lora_layers(trunk))
    if not layers:
        return dict(trunk.named_parameters())
    shared: dict[str, nn.Parameter] = {}
    for name, layer in layers.items():
        a_RI = layer.lora_A[ADAPTER].weight
        if a_RI.requires_grad:
            shared[f"{name}.a"] = a_RI
        shared[f"{name}.b"] = layer.lora_B[ADAPTER].weight
    return shared


def local_tensors(trunk: nn.Module) -> dict[str, nn.Parameter]:
    """What of the trunk is trained but stays on the node: DoRA's magnitudes m [O]."""
    return {
        f"{name}.magnitude": layer.lora_magnitude_vector[ADAPTER].weight
        for name, layer in lora_layers(trunk)
        if ADAPTER in layer.lora_magnitude_vector
    }


def _tiny_trunk(config: RunConfig) -> nn.Module:
    settings = BertConfig(
        vocab_size=1,
        hidden_size=config.model.width,
        num_hidden_layers=config.model.layers,
        num_attention_heads=config.model.attention_heads,
        intermediate_size=2 * config.model.width,
        max_position_embeddings=64,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.1,  # 0.02 is made for widths of several hundred
    )
    with seeded(config.seed, "trunk"):
        trunk: nn.Module = BertModel(settings, add_pooling_layer=False)
    return trunk


def _pretrained_trunk(config: RunConfig) -> nn.Module:
    name = config.model.trunk
    with seeded(config.seed, "trunk"):  # weights that the checkpoint lacks, and that are not looked at
        trunk = load_model(find_pretrained(name))
    with torch.no_grad():
        try:
            hidden_states(trunk, torch.zeros(1, 2, trunk.config.hidden_size), None)  # type: ignore[union-attr, arg-type]
        except (TypeError, ValueError, AttributeError) as error:
            raise ConcordError(
                "C103", f"model.trunk = {name!r} takes no token embeddings: {error}", "choose an encoder such as BERT"
            ) from error
    return trunk
