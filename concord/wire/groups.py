"""Model groups: named tensors that travel, and are averaged, together.

A group travels as one flat float32 array beside a manifest of names and shapes, because every object that
Flower sends costs a round trip of its own.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from concord.wire.messages import WireError
from concord.wire.v1 import federation_pb2 as pb

Group = Mapping[str, Tensor]
Shapes = Mapping[str, tuple[int, ...]]


def modality_of(name: str) -> str:
    """The modality that a group belongs to by its name, ``kind.modality``; empty: all of them."""
    return name.partition(".")[2]


def shapes_of(group: Group) -> dict[str, tuple[int, ...]]:
    """Shapes of a group's tensors, in order."""
    return {name: tuple(tensor.shape) for name, tensor in group.items()}


def manifest_of(name: str, shapes: Shapes) -> pb.GroupManifest:
    """The manifest of group `name`."""
    return pb.GroupManifest(group=name, tensors=[pb.TensorSpec(name=n, shape=list(shape)) for n, shape in shapes.items()])


def shapes_from_manifest(manifest: pb.GroupManifest) -> dict[str, tuple[int, ...]]:
    """Shapes that a manifest tells; WireError where a tensor is named twice."""
    shapes = {spec.name: tuple(spec.shape) for spec in manifest.tensors}
    if len(shapes) != len(manifest.tensors):
        raise WireError(f"group {manifest.group!r} names a tensor twice")
    return shapes


def pack(group: Group) -> NDArray[np.float32]:
    """All tensors of a group as one flat float32 array."""
    if not group:
        return np.empty(0, dtype=np.float32)
    return torch.cat([tensor.detach().to("cpu", torch.float32).flatten() for tensor in group.values()]).numpy()


def group_digest(group: Group) -> str:
    """SHA-256 of all values of a group, in their order, in hex."""
    return hashlib.sha256(pack(group).tobytes()).hexdigest()


def unpack(flat: NDArray[np.float32], shapes: Shapes) -> dict[str, Tensor]:
    """The tensors of a group from its flat array; WireError where the size or type is another."""
    sizes = [math.prod(shape) for shape in shapes.values()]
    if flat.dtype != np.float32 or flat.ndim != 1 or flat.size != sum(sizes):
        raise WireError(f"an array of {flat.dtype}{list(flat.shape)} where {sum(sizes)} float32 were expected")
    parts = torch.from_numpy(flat.copy()).split(sizes)
    return {name: part.reshape(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
