"""Public anchor sets: C concepts in a fixed order, at least one public sample per concept and modality.

Row i means the same concept everywhere; no sample of one modality is paired with one of another. The digest
of the manifest travels with every message, so that parties with different anchors stop instead of averaging
quantities that do not mean the same. On disk: a folder with ``manifest.json`` and ``<modality>.safetensors``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from concord.errors import ConcordError
from concord.samples import Samples

MANIFEST = "manifest.json"
SCHEMA_VERSION = 1
_CONTENT = re.compile(r"[0-9]{1,18} [0-9a-f]{64}")


@dataclass(frozen=True)
class AnchorSet:
    """Anchors of one or more modalities.

    Attributes:
        concepts: names of the C concepts, in row order; concept i is class i.
        modalities: per modality its samples; ``y`` holds the concept of each sample.
        encoders: per modality the name of the encoder that its inputs were prepared for; of a graph, of one that gives nodes
            features from their texts. Nothing otherwise in sets of suites.
        contents: per modality size and SHA-256 of what each sample was made from, to tell private copies; nothing in sets
            of suites.
    """

    concepts: tuple[str, ...]
    modalities: Mapping[str, Samples]
    encoders: Mapping[str, str] = field(default_factory=dict)
    contents: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What identifies the set: concepts, and per modality the ids, concepts and a digest of the inputs."""
        return {
            "schema-version": SCHEMA_VERSION,
            "concepts": list(self.concepts),
            "modalities": {
                name: {
                    "ids": list(samples.ids),
                    "concept": samples.y.tolist(),
                    "shape": list(samples.x.shape),
                    "dtype": str(samples.x.dtype).removeprefix("torch."),
                    "sha256": _tensor_digest(samples.x),
                    **({"encoder": self.encoders[name]} if name in self.encoders else {}),
                    **({"contents": list(self.contents[name])} if name in self.contents else {}),
                }
                for name, samples in sorted(self.modalities.items())
            },
        }

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the manifest, hexadecimal."""
        text = json.dumps(self.manifest, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def of(self, modality: str) -> Samples:
        """The anchors of one modality; ConcordError C302 if there are none."""
        samples = self.modalities.get(modality)
        if samples is None or not len(samples):
            have = ", ".join(sorted(self.modalities)) or "none"
            raise ConcordError(
                "C302",
                f"the anchor set {self.digest[:12]} has no anchors of modality {modality!r} (it has: {have})",
                f"add at least one public {modality} sample per concept to the anchor set, or leave the modality out",
            )
        return samples

    @property
    def of_graphs(self) -> bool:
        """Whether it has no sample, and tells parties to a graph their classes and the features of each modality alone."""
        return not any(len(samples) or samples.x.dim() != 2 for samples in self.modalities.values())

    def mask(self, modality: str) -> Tensor:
        """Concepts that have an anchor in `modality`, shape [C], bool."""
        mask_C = torch.zeros(len(self.concepts), dtype=torch.bool)
        mask_C[self.of(modality).y.unique()] = True
        return mask_C


def anchors_of_graph(concepts: Sequence[str], widths: Mapping[str, int], encoders: Mapping[str, str] | None = None) -> AnchorSet:
    """What parties to a graph agree on: classes, and per modality how many features it has, 0 where each has its own, and
    which of `encoders` gave them, if one did.
    """
    none = {m: Samples(torch.zeros(0, width), torch.zeros(0, dtype=torch.int64), ()) for m, width in widths.items()}
    return AnchorSet(tuple(concepts), none, encoders or {})


def save_anchors(anchors: AnchorSet, folder: Path) -> None:
    """Writes the set to `folder` (made if missing): the manifest and one safetensors file a modality."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, samples in anchors.modalities.items():
        save_file({"x": samples.x.contiguous(), "y": samples.y}, folder / f"{name}.safetensors")
    (folder / MANIFEST).write_text(json.dumps(anchors.manifest, indent=1) + "\n")


def load_anchors(folder: Path) -> AnchorSet:
    """Reads and checks a set written by `save_anchors`.

    Raises:
        ConcordError: C301, when a file is missing, malformed, or does not agree with the manifest.
    """
    manifest = _read_manifest(folder / MANIFEST)
    try:
        concepts = tuple(str(name) for name in manifest["concepts"])
        entries = manifest["modalities"].items()
        modalities = {name: _read_modality(folder, name, entry, concepts) for name, entry in entries}
        encoders = {name: str(entry["encoder"]) for name, entry in entries if "encoder" in entry}
        contents = {name: _contents(entry) for name, entry in entries if "contents" in entry}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unreadable(folder / MANIFEST, f"a field is missing or malformed: {error}") from error
    anchors = AnchorSet(concepts, modalities, encoders, contents)
    if anchors.manifest != manifest:
        changed = [m for m, entry in anchors.manifest["modalities"].items() if entry != manifest["modalities"].get(m)]
        raise _unreadable(folder, f"the files do not agree with the manifest: {', '.join(changed) or 'header'}")
    return anchors


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise _unreadable(path, "there is no such file") from error
    except (OSError, ValueError) as error:
        raise _unreadable(path, str(error)) from error
    if not isinstance(manifest, dict) or manifest.get("schema-version") != SCHEMA_VERSION:
        raise _unreadable(path, f"not an anchor manifest of schema version {SCHEMA_VERSION}")
    return manifest


def _contents(entry: Mapping[str, Any]) -> tuple[str, ...]:
    contents = tuple(map(str, entry["contents"]))
    if len(contents) != len(entry["ids"]) or not all(_CONTENT.fullmatch(content) for content in contents):
        raise ValueError("contents are not a size and a SHA-256 for each sample")
    return contents


def _read_modality(folder: Path, name: str, entry: Mapping[str, Any], concepts: tuple[str, ...]) -> Samples:
    path = folder / f"{Path(name).name}.safetensors"
    try:
        tensors = load_file(path)
        samples = Samples(tensors["x"], tensors["y"], tuple(entry["ids"]))
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise _unreadable(path, str(error)) from error
    if len(samples) and not 0 <= int(samples.y.min()) <= int(samples.y.max()) < len(concepts):
        raise _unreadable(path, f"a concept index lies outside 0..{len(concepts) - 1}")
    return samples


def _unreadable(path: Path, why: str) -> ConcordError:
    return ConcordError("C301", f"{path}: {why}", "build the anchor set again, or copy the folder from the party that made it")


def _tensor_digest(x: Tensor) -> str:
    return hashlib.sha256(x.contiguous().numpy().tobytes()).hexdigest()
