"""Private state of a node, on the node's own disk.

Flower's `context.state` is lost with a restart and above some 200 MB, so nothing private lives there. Every
round writes a file of its own; the one before stays, so that a round that was cut short can be done again. The
rounds of a run are in a folder that is named after its token, since a run that was deleted and started anew has
the same name. The trunk base is beside these folders: it is known by its digest, and asked for before any round.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from concord.errors import ConcordError
from concord.run_folder import atomic_write, remove_unfinished

PRIVATE = 0o600  # for the owner alone
STALE_SECONDS = 3600.0  # a message that was given up may have a process that still writes, but not for so long


class NodeStore:
    """The trunk base by digest, and the rounds of each run, under one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def rounds(self, token: str) -> RoundStore:
        """What the node keeps of the run with this token (checked: see `token_from_wire`)."""
        return RoundStore(self.folder / token)

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
        _write(self._base_file(digest), tensors)

    def load_base(self, digest: str) -> dict[str, Tensor]:
        """The trunk base of that digest."""
        return _read(self._base_file(digest))

    def _base_file(self, digest: str) -> Path:
        return self.folder / f"base-{digest}.safetensors"


class RoundStore:
    """What a node keeps of one run: tensors by round, and its last answer, under one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, round_: int, tensors: Mapping[str, Tensor]) -> None:
        """Writes what the node keeps after `round_`, atomically.

        The last one before it stays, however long ago that was: the round may have to be done again. Rounds before that cannot
        be asked for again, and later ones are forgotten: the server went back to an older checkpoint, and what the node learnt
        after it belongs to a model that is no more.
        """
        _write(self._file(round_), tensors)
        rounds = set(self._rounds())
        for other in rounds - {round_, max((r for r in rounds if r < round_), default=round_)}:
            self._file(other).unlink(missing_ok=True)

    def load_latest(self, before: int) -> dict[str, Tensor] | None:
        """What the node kept after the last round before `before`; None if it took part in none."""
        earlier = [r for r in self._rounds() if r < before]
        return _read(self._file(max(earlier))) if earlier else None

    def save_answer(self, question: str, tensors: Mapping[str, Tensor]) -> None:
        """Keeps the answer to a question, named by its digest, and no other."""
        for old in self.folder.glob("answer-*.safetensors"):
            old.unlink(missing_ok=True)
        _write(self._answer_file(question), tensors)

    def load_answer(self, question: str) -> dict[str, Tensor] | None:
        """The answer to that question, if it was the last one."""
        file = self._answer_file(question)
        return _read(file) if file.exists() else None

    def _answer_file(self, question: str) -> Path:
        return self.folder / f"answer-{question}.safetensors"

    def _rounds(self) -> list[int]:
        return [int(file.stem.removeprefix("round-")) for file in self.folder.glob("round-*.safetensors")]

    def _file(self, round_: int) -> Path:
        return self.folder / f"round-{round_:06d}.safetensors"


def _write(path: Path, tensors: Mapping[str, Tensor]) -> None:
    remove_unfinished(path.parent, STALE_SECONDS)
    atomic_write(path, save({name: tensor.contiguous() for name, tensor in tensors.items()}), PRIVATE)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load(path.read_bytes())
    except (OSError, SafetensorError) as error:
        hint = "delete the file; the node then starts from the server's model"
        raise ConcordError("C502", f"{path}: {error}", hint) from error


def restore(tensors: Mapping[str, Tensor], kept: Mapping[str, Tensor]) -> None:
    """Copies what was kept into the tensors of the same names and shapes; what has no place any more is left."""
    for name, tensor in tensors.items():
        if name in kept and kept[name].shape == tensor.shape:
            tensor.copy_(kept[name])
