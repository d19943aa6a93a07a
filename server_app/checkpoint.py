"""A checkpoint after every round: model groups, trunk base, what is agreed on, and the round. Written atomically.

Nothing of it is random: every draw of a run is derived from its seed and round (see concord.seeding), so the
round is the whole state of the random numbers.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from concord.errors import ConcordError
from concord.run_folder import atomic_write
from strategies.consensus import Consensus
from strategies.state import GlobalState

FILE = "state.safetensors"
GROUP, BASE, AGREED = "group", "base", "agreed"


def save_checkpoint(folder: Path, state: GlobalState, consensus: Consensus) -> None:
    """Replaces the checkpoint in `folder`; a crash at any moment leaves the old or the new one whole."""
    tensors = {f"{GROUP}|{g}|{name}": t for g, group in state.groups.items() for name, t in group.items()}
    tensors |= {f"{BASE}|{name}": t for name, t in state.base.items()}
    tensors |= {f"{AGREED}|{name}": t for name, t in consensus.state().items()}
    about = {
        "version": version("concord"),
        "round": state.round_,
        "token": state.token,
        "base-digest": state.base_digest,
        "groups": list(state.groups),
        "tensors": list(tensors),
        "counted": state.counted,
        "encoders": state.encoders,
    }
    folder.mkdir(parents=True, exist_ok=True)
    contiguous = {name: t.detach().clone(memory_format=torch.contiguous_format) for name, t in tensors.items()}
    atomic_write(folder / FILE, save(contiguous, metadata={"concord": json.dumps(about)}))


def has_checkpoint(folder: Path) -> bool:
    """Whether there is a checkpoint."""
    return (folder / FILE).exists()


def load_checkpoint(folder: Path, consensus: Consensus) -> GlobalState:
    """Reads the checkpoint in `folder` and gives `consensus` its part.

    Raises:
        ConcordError: C402, when there is none, it cannot be read, or another version of Concord wrote it.
    """
    path = folder / FILE
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()["concord"])
            _check_version(path, about.get("version"))
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        groups: dict[str, dict[str, Tensor]] = {name: {} for name in about["groups"]}
        base: dict[str, Tensor] = {}
        agreed: dict[str, Tensor] = {}
        for key in about["tensors"]:  # in their order: a sparse update names coordinates by it
            kind, _, name = key.partition("|")
            if kind == GROUP:
                group, _, tensor = name.partition("|")
                groups[group][tensor] = tensors[key]
            else:
                {BASE: base, AGREED: agreed}[kind][name] = tensors[key]
        state = GlobalState(
            groups,
            base,
            about["base-digest"],
            dict(about["encoders"]),
            int(about["round"]),
            about["token"],
            dict(about["counted"]),
        )
    except (OSError, SafetensorError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConcordError("C402", f"{path}: {error}", "start the run again without resuming") from error
    consensus.load(agreed)
    return state


def _check_version(path: Path, written_by: object) -> None:
    """ConcordError C402 for a checkpoint of another version: what its tensors mean may have changed since."""
    if written_by != version("concord"):
        of = f"Concord {written_by}" if written_by else "a version of Concord that did not say which"
        hint = "go on with the version that began the run, or start it anew"
        raise ConcordError("C402", f"{path} was written by {of}, this is {version('concord')}", hint)
