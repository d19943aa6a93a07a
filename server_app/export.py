"""The model folder of a run: safetensors and JSON only.

``trunk/`` and ``adapter/`` load with plain transformers and peft (of Whisper, as its encoder alone); where modalities do not
share an adapter, ``adapter/`` (or, fully trained, ``trunk/``) has a folder for each. Tokenisers, projectors and heads lie
beside them, and the anchors that make embeddings of different modalities comparable. The network of a graph is one file.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import save_file
from torch import nn

from client_app.model import SHARED, MultimodalModel
from client_app.trunk import build_trunk
from concord.anchors import AnchorSet, save_anchors
from concord.config import RunConfig
from concord.run_folder import atomic_write
from strategies.state import GlobalState


def export_model(folder: Path, config: RunConfig, anchors: AnchorSet, state: GlobalState) -> None:
    """Writes the global model to `folder` (made if missing)."""
    folder.mkdir(parents=True, exist_ok=True)
    model = MultimodalModel(config, sorted(anchors.modalities), len(anchors.concepts), base=state.base or None)
    model.load_groups({name: group for name, group in state.groups.items() if name in model.groups()})
    build_trunk(config, state.base or None).save_pretrained(folder / "trunk")  # type: ignore[operator]
    for key, trunk in model.trunks.items():
        part = "adapter" if isinstance(trunk, PeftModel) else "trunk"
        trunk.save_pretrained(str(folder / part if key == SHARED else folder / part / key))  # type: ignore[operator]
    for part, modules in (("tokenisers", model.tokenisers), ("projectors", model.projectors), ("heads", model.heads)):
        save_file(_tensors(modules), folder / f"{part}.safetensors")
    save_anchors(anchors, folder / "anchors")
    heads = any(name.partition(".")[0] == "head" for name in state.groups) and config.head_scope != "local"
    _describe(folder, config, anchors, {"modalities": list(model.modalities), "heads-are-trained": heads})


def export_network(folder: Path, config: RunConfig, anchors: AnchorSet, state: GlobalState) -> None:
    """Writes the global network of a graph to `folder` (made if missing): ``network.safetensors``, by group and tensor."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"{name}/{key}": t.contiguous() for name, group in state.groups.items() for key, t in group.items()}
    save_file(tensors, folder / "network.safetensors")
    widths = {modality: samples.x.shape[1] for modality, samples in anchors.modalities.items()}
    _describe(folder, config, anchors, {"modalities": sorted(widths), "widths": widths})


def _describe(folder: Path, config: RunConfig, anchors: AnchorSet, more: dict[str, object]) -> None:
    about = {
        "schema-version": 1,
        "concepts": list(anchors.concepts),
        "anchors": anchors.digest,
        **more,
        "config": config.flat(),
    }
    atomic_write(folder / "model.json", json.dumps(about, indent=1) + "\n")


def _tensors(modules: nn.ModuleDict) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().contiguous() for name, tensor in modules.state_dict().items()}
