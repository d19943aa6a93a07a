"""Private state of a node, on the node's own disk.

Flower's `context.state` is lost with a restart and above some 200 MB, so nothing private lives there. Every
round writes a file of its own; the one before stays, so that a round that was cut short can be done again.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from concord.errors import ConcordError

KEEP_ROUNDS = 2


class NodeStore:
    """Tensors by round, and the trunk base by digest, under one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save_round(self, round_: int, tensors: Mapping[str, Tensor]) -> None:
        """Writes what the node keeps after `round_`, atomically, and forgets rounds that cannot be asked for again."""
        self._write(self._round_file(round_), tensors)
        for old in self.folder.glob("round-*.safetensors"):
            if int(old.stem.removeprefix("round-")) <= round_ - KEEP_ROUNDS:
                old.unlink(missing_ok=True)

    def load_latest(self, before: int) -> dict[str, Tensor] | None:
        """What the node kept after the last round before `before`; None if it took part in none."""
        rounds = [int(f.stem.removeprefix("round-")) for f in self.folder.glob("round-*.safetensors")]
        earlier = [r for r in rounds if r < before]
        return self._read(self._round_file(max(earlier))) if earlier else None

    def base_digest(self) -> str:
        """Digest of the trunk base that is here; empty: none."""
        return next((file.stem.removeprefix("base-") for file in self.folder.glob("base-*.safetensors")), "")

    def has_base(self, digest: str) -> bool:
        """Whether the trunk base of that digest is here."""
        return self._base_file(digest).exists()

    def save_base(self, digest: str, tensors: Mapping[str, Tensor]) -> None:
        """Keeps a trunk base, and no other."""
        for old in self.folder.glob("base-*.safetensors"):
            old.unlink(missing_ok=True)
        self._write(self._base_file(digest), tensors)

    def load_base(self, digest: str) -> dict[str, Tensor]:
        """The trunk base of that digest."""
        return self._read(self._base_file(digest))

    def _round_file(self, round_: int) -> Path:
        return self.folder / f"round-{round_:06d}.safetensors"

    def _base_file(self, digest: str) -> Path:
        return self.folder / f"base-{digest}.safetensors"

    def _write(self, path: Path, tensors: Mapping[str, Tensor]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self.folder, prefix=".", delete=False) as file:
            file.write(save({name: tensor.contiguous() for name, tensor in tensors.items()}))
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(path)

    def _read(self, path: Path) -> dict[str, Tensor]:
        try:
            return load(path.read_bytes())
        except (OSError, SafetensorError) as error:
            raise ConcordError(
                "C502", f"{path}: {error}", "delete the file; the node then starts from the server's model"
            ) from error
