"""Loading the model of a pretrained encoder: safetensors only, no code from elsewhere, all weights there."""

from __future__ import annotations

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModel

from client_app.pretrained.family import TOWERS
from client_app.pretrained.folder import Pretrained, unusable

OPTIONAL = ("pooler.", "masked_spec_embed", "embeddings.mask_token")  # not looked at here


def load_model(pretrained: Pretrained) -> nn.Module:
    """The model in float32 and evaluation mode, or the part of it that is used.

    Raises:
        ConcordError: C103, when it cannot be loaded, or lacks weights: those would be random.
    """
    try:
        whole, about = AutoModel.from_pretrained(
            pretrained.weights,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise unusable(pretrained.name, error) from error
    tower = TOWERS.get(whole.config.model_type, "")
    if whole.config.is_encoder_decoder and not tower:
        raise unusable(pretrained.name, f"{whole.config.model_type} has a decoder too, and is of no family that is known here")
    used: nn.Module = whole.get_submodule(tower)
    needed = {f"{tower}.{name}".strip(".") for name, _ in used.named_parameters() if not name.startswith(OPTIONAL)}
    if missing := sorted(needed & set(about["missing_keys"])):
        raise unusable(pretrained.name, f"its weights lack {missing[0]} and {len(missing) - 1} others")
    return used.eval()
