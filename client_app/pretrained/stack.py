"""The transformer layers of a pretrained encoder, of any family, over token embeddings.

Legend: B batch, L tokens, D width.
"""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor, nn
from transformers.masking_utils import create_bidirectional_mask

from client_app.pretrained.family import family_of

ATTENTION = (("query", "value"), ("q_proj", "v_proj"), ("q_lin", "v_lin"), ("q", "v"))  # what families call these two layers
ALL_LINEAR = "all-linear"


def hidden_states(model: nn.Module, embeds_BLD: Tensor, mask_BL: Tensor | None) -> Tensor:
    """What the layers make of token embeddings, [B, L, D]; `mask_BL` tells which tokens are real, None: all."""
    config: Any = model.config
    family = family_of(config.model_type)
    if not family.layers:
        mask = None if mask_BL is None else mask_BL.long()
        return model(inputs_embeds=embeds_BLD, attention_mask=mask).last_hidden_state  # type: ignore[no-any-return]
    if family.encoder:  # writes zeros into the embeddings that it gets
        return model.get_submodule(family.encoder)(embeds_BLD.clone(), attention_mask=mask_BL).last_hidden_state  # type: ignore[no-any-return]
    attention_mask = create_bidirectional_mask(config=config, inputs_embeds=embeds_BLD, attention_mask=mask_BL)
    hidden_BLD = embeds_BLD
    for layer in model.get_submodule(family.layers).children():
        hidden_BLD = layer(hidden_BLD, attention_mask)
    return model.get_submodule(family.norm)(hidden_BLD)  # type: ignore[no-any-return]


def adapter_targets(model: nn.Module, text: str) -> str | list[str]:
    """peft's `target_modules` of a model.

    Args:
        model: without adapters.
        text: names of linear layers with commas between, ``all-linear``, or ``auto``: queries and values of attention,
            and all linear layers where those have no names of their own.
    """
    config: Any = model.config
    family = family_of(config.model_type)
    names = linear_names(model, family.layers)
    if text == "auto":
        words = next((list(pair) for pair in ATTENTION if set(pair) <= names), [ALL_LINEAR])
    else:
        words = [part.strip() for part in text.split(",")]
    if not family.layers:
        return ALL_LINEAR if words == [ALL_LINEAR] else words
    chosen = sorted(names) if words == [ALL_LINEAR] else words
    return rf"{re.escape(family.layers)}\..*\b({'|'.join(map(re.escape, chosen))})"  # nowhere else in the model


def linear_names(model: nn.Module, part: str) -> set[str]:
    """The names, without their path, of the linear layers of a part of a model."""
    return {name.rpartition(".")[2] for name, m in model.get_submodule(part).named_modules() if isinstance(m, nn.Linear)}
