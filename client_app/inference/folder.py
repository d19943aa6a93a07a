"""Reading a model folder. It may come from anybody: JSON and safetensors alone are read, and checked first.

A model is put together in memory only when it is known that the files hold its tensors, so that a few bytes of settings
cannot ask for a model of any size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from client_app.agents.methods import AGENT_METHODS, build_model
from client_app.agents.model import AgentModel
from client_app.inference.description import (
    ADAPTER,
    ADAPTER_WEIGHTS,
    AGENT_WEIGHTS,
    ANCHORS,
    DESCRIPTION,
    TRUNK,
    WEIGHTS,
    Description,
    load_description,
    unusable,
)
from client_app.inference.trained import TrainedAgent, TrainedModel, TrainedTogether
from client_app.model import SHARED, MultimodalModel
from client_app.node import choose_device
from client_app.trunk import TINY
from concord.anchors import AnchorSet, load_anchors
from concord.config import RunConfig, parse_config
from concord.errors import ConcordError

MODEL = "model"  # in a run folder
MOST_LAYERS = 512  # of a tiny trunk: each takes time, if no memory, before it is known that the files do not hold it
State = dict[str, Tensor]
Model = TypeVar("Model", bound=nn.Module)


def load_model(folder: Path | str, device: str = "auto") -> TrainedModel:
    """The model that a run, or an agent without a server, has left.

    Args:
        folder: ``model`` of the run folder, or the run folder itself.
        device: where it computes: ``auto`` (a GPU where there is one), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        ConcordError: C701, when the folder is not whole or its files do not go together; C301 for its anchors; C702, when it
            holds the network of a graph; C103, when this machine does not have the device.
    """
    path = Path(folder).expanduser()
    if not (path / DESCRIPTION).exists() and (path / MODEL / DESCRIPTION).exists():
        path = path / MODEL
    about = load_description(path)
    config = _config_of(path, about)
    if config.of_graphs:
        what = f"{path} holds the network of a graph, which has no single samples to ask about"
        raise ConcordError("C702", what, "its figures are in the report of the run")
    anchors, target = _anchors_of(path, about), choose_device(device)
    if config.method in AGENT_METHODS:
        return TrainedAgent(config, anchors, _agent(path, config, about).eval().to(target), target)
    model = _together(path, config, about).eval().to(target)
    return TrainedTogether(config, anchors, model, target, has_heads=about.heads_are_trained)


def _config_of(path: Path, about: Description) -> RunConfig:
    """The run, with the trunk of the folder in place of one that was loaded by name."""
    try:
        config = parse_config(about.config)
    except ConcordError as error:
        raise unusable(path / DESCRIPTION, f"config: {error.message}") from error
    if config.model.trunk == TINY:
        if config.model.layers > MOST_LAYERS:
            raise unusable(path / DESCRIPTION, f"config: {config.model.layers} layers, more than {MOST_LAYERS}")
        return config
    return config.model_copy(update={"model": config.model.model_copy(update={"trunk": str((path / TRUNK).resolve())})})


def _anchors_of(path: Path, about: Description) -> AnchorSet:
    anchors = load_anchors(path / ANCHORS)
    if (anchors.digest, list(anchors.concepts)) != (about.anchors, about.concepts):
        raise unusable(path / ANCHORS, f"set {anchors.digest[:12]}, the model was trained with {about.anchors[:12]}")
    if unknown := [m for m in about.modalities if m not in anchors.modalities or Path(m).name != m]:
        raise unusable(path / DESCRIPTION, f"modality {unknown[0]!r} has no anchors")
    return anchors


def _together(path: Path, config: RunConfig, about: Description) -> MultimodalModel:
    saved = _read(path / TRUNK / WEIGHTS) if config.model.trunk == TINY else None

    def build() -> MultimodalModel:
        base = saved and {name: tensor.to(torch.get_default_device()) for name, tensor in saved.items()}
        return MultimodalModel(config, about.modalities, len(about.concepts), base=base)

    return _filled(path, config, build, _files_of_together)


def _agent(path: Path, config: RunConfig, about: Description) -> AgentModel:
    def build() -> AgentModel:
        return build_model(config, about.modalities, len(about.concepts))

    return _filled(path, config, build, lambda model: {AGENT_WEIGHTS: model.state_dict()})


def _files_of_together(model: MultimodalModel) -> Mapping[str, State]:
    """Which file of the folder holds which tensors."""
    files: dict[str, State] = {
        f"{part}.safetensors": modules.state_dict()
        for part, modules in (("tokenisers", model.tokenisers), ("projectors", model.projectors), ("heads", model.heads))
    }
    for key, trunk in model.trunks.items():
        part, weights = (ADAPTER, ADAPTER_WEIGHTS) if isinstance(trunk, PeftModel) else (TRUNK, WEIGHTS)
        own = get_peft_model_state_dict(trunk) if isinstance(trunk, PeftModel) else trunk.state_dict()
        files["/".join([part, *([] if key == SHARED else [key]), weights])] = own
    return files


def _filled(path: Path, config: RunConfig, build: Callable[[], Model], files_of: Callable[[Model], Mapping[str, State]]) -> Model:
    """The model that `build` makes, with the tensors of the folder; `files_of` tells which file holds which of its tensors."""
    try:
        if config.model.trunk == TINY:
            with torch.device("meta"):  # shapes without memory
                _require_fit(path, files_of(build()))
        model = build()
    except (RuntimeError, ValueError, KeyError) as error:  # what torch, transformers and peft say of settings that make no model
        raise unusable(path, f"the model that it describes cannot be built: {error}") from error
    files = files_of(model)
    saved = _require_fit(path, files)
    with torch.no_grad():
        for file, own in files.items():
            for name, tensor in own.items():
                tensor.copy_(saved[file][name])
    return model


def _require_fit(path: Path, files: Mapping[str, State]) -> dict[str, State]:
    """The tensors in the files of the folder; ConcordError C701 unless they have the names and shapes of `files`."""
    saved = {file: _read(path / file) for file in files}
    for file, own in files.items():
        if missing := own.keys() ^ saved[file].keys():
            raise unusable(path / file, f"{sorted(missing)[0]!r} is not both in the file and in the model")
        for name, tensor in own.items():
            if tensor.shape != saved[file][name].shape:
                shapes = f"{list(saved[file][name].shape)}, the model's is {list(tensor.shape)}"
                raise unusable(path / file, f"{name!r} has shape {shapes}")
    return saved


def _read(path: Path) -> State:
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise unusable(path, str(error)) from error
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise unusable(path, f"{name!r} holds numbers that are not finite")
    return tensors
