"""The model folder of a run: safetensors and JSON only.

``trunk/`` and ``adapter/`` load with plain transformers and peft (of Whisper, as its encoder alone); where modalities do not
share an adapter, ``adapter/`` (or, fully trained, ``trunk/``) has a folder for each. Tokenisers, projectors and heads lie
beside them, and the anchors that make embeddings of different modalities comparable. The network of a graph is one file.
"""

from __future__ import annotations

from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import save_file
from torch import nn

from client_app.inference.description import ADAPTER, ANCHORS, TRUNK, Description
from client_app.model import SHARED, MultimodalModel
from client_app.trunk import build_trunk
from concord.anchors import AnchorSet, save_anchors
from concord.config import RunConfig
from strategies.state import GlobalState


def export_model(folder: Path, config: RunConfig, anchors: AnchorSet, state: GlobalState) -> Description:
    """Writes the global model to `folder` (made if missing); what ``model.json`` says of it."""
    folder.mkdir(parents=True, exist_ok=True)
    model = MultimodalModel(config, sorted(anchors.modalities), len(anchors.concepts), base=state.base or None)
    model.load_groups({name: group for name, group in state.groups.items() if name in model.groups()})
    build_trunk(config, state.base or None).save_pretrained(folder / TRUNK)  # type: ignore[operator]
    for key, trunk in model.trunks.items():
        part = ADAPTER if isinstance(trunk, PeftModel) else TRUNK
        target = folder / part if key == SHARED else folder / part / key
        trunk.save_pretrained(str(target))  # type: ignore[operator]
        (target / "README.md").unlink(missing_ok=True)  # peft's form of a model card, with nothing filled in
    for part, modules in (("tokenisers", model.tokenisers), ("projectors", model.projectors), ("heads", model.heads)):
        save_file(_tensors(modules), folder / f"{part}.safetensors")
    save_anchors(anchors, folder / ANCHORS)
    heads = any(name.partition(".")[0] == "head" for name in state.groups) and config.head_scope != "local"
    about = Description.of(config, anchors, list(model.modalities), heads_are_trained=heads)
    about.save(folder)
    return about


def export_network(folder: Path, config: RunConfig, anchors: AnchorSet, state: GlobalState) -> Description:
    """Writes the global network of a graph to `folder` (made if missing): ``network.safetensors``, by group and tensor."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"{name}/{key}": t.contiguous() for name, group in state.groups.items() for key, t in group.items()}
    save_file(tensors, folder / "network.safetensors")
    widths = {modality: samples.x.shape[1] for modality, samples in anchors.modalities.items()}
    about = Description.of(config, anchors, sorted(widths), widths=widths)
    about.save(folder)
    return about


def _tensors(modules: nn.ModuleDict) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().contiguous() for name, tensor in modules.state_dict().items()}
