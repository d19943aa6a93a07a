"""A pretrained encoder on disk: its folder by name or path, its layout, and a digest of what decides its outputs.

A hub name is fetched once into the cache of huggingface_hub, safetensors and settings alone, and found there from then on.
The layout of sentence-transformers (``modules.json``) is read: which folder holds the transformer, how tokens are pooled.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from transformers import AutoConfig, PreTrainedConfig

from client_app.data.cache import cache_folder
from client_app.pretrained.family import Family, family_of
from concord.errors import ConcordError
from concord.run_folder import atomic_write

HINT = "name a transformers model with safetensors weights: on the hub, or a folder on this machine"
LARGEST_SETTINGS = 1 << 20  # bytes of a JSON file of the layout
FILES = (
    "config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer*.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab*",
    "merges.txt",
    "*.model",
    "modules.json",
    "sentence_*config.json",
    "*/config.json",
)
POOLINGS = {
    "pooling_mode_cls_token": "first",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "last",
    "pooling_mode_mean_tokens": "mean",
}


@dataclass(frozen=True)
class Sentence:
    """How a folder of sentence-transformers makes one vector of the tokens of a text.

    Attributes:
        pooling: `first`, `max`, `last` or `mean` of the tokens.
        normalise: whether the vector is brought to unit length.
        longest: tokens of a text that are read; None: as many as the model can.
        lower_case: whether texts are lower-cased before they are cut into tokens.
    """

    pooling: str
    normalise: bool
    longest: int | None
    lower_case: bool


@dataclass(frozen=True)
class Pretrained:
    """A pretrained encoder, not loaded.

    Attributes:
        name: as the run names it.
        folder: everything about it.
        weights: the folder in it that transformers loads.
        sentence: the layout of sentence-transformers, where the folder has it.
    """

    name: str
    folder: Path
    weights: Path
    sentence: Sentence | None

    @cached_property
    def config(self) -> PreTrainedConfig:
        """The settings of the part that is used."""
        try:
            config = AutoConfig.from_pretrained(self.weights, local_files_only=True, trust_remote_code=False)
        except (OSError, ValueError, KeyError) as error:
            raise unusable(self.name, error) from error
        return config.vision_config if config.model_type == "siglip" else config

    @property
    def family(self) -> Family:
        """How it is used."""
        return family_of(self.config.model_type)

    @property
    def width(self) -> int:
        """The width of its hidden states."""
        return int(self.config.hidden_size)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all files that decide its outputs, hexadecimal."""
        digest = hashlib.sha256()
        for file in sorted(f for f in self.folder.rglob("*") if f.is_file()):
            path = file.relative_to(self.folder).as_posix()
            if any(fnmatch(path, pattern) for pattern in FILES):
                digest.update(f"{path} {_file_digest(file)}\n".encode())
        return digest.hexdigest()


@lru_cache(maxsize=32)
def find_pretrained(name: str) -> Pretrained:
    """A pretrained encoder by hub name or path; ConcordError C103 where there is none."""
    folder = _folder_of(name)
    modules = _read_json(name, folder, "modules.json") if (folder / "modules.json").is_file() else None
    if modules is None:
        weights, sentence = folder, None
    else:
        try:
            weights, sentence = _read_sentence(name, folder, {m["type"].rpartition(".")[2]: m["path"] for m in modules})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise unusable(name, f"modules.json: {error!r}") from error
    for pattern in ("config.json", "*.safetensors"):
        if not any(weights.glob(pattern)):
            raise unusable(name, f"{weights} has no {pattern}")
    return Pretrained(name, folder, weights, sentence)


def unusable(name: str, why: object, hint: str = HINT) -> ConcordError:
    """The error about a pretrained encoder that cannot be used."""
    return ConcordError("C103", f"the pretrained encoder {name!r} cannot be used: {why}", hint)


def _folder_of(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        if Path(name).is_dir():
            return Path(name).absolute()
        with suppress(LocalEntryNotFoundError):
            here = Path(snapshot_download(name, allow_patterns=list(FILES), local_files_only=True))
            if any(here.rglob("*.safetensors")):
                return here
        return Path(snapshot_download(name, allow_patterns=list(FILES)))
    except (OSError, ValueError) as error:
        raise unusable(name, f"it is no folder here, and the hub does not give it: {error}") from error


def _read_sentence(name: str, folder: Path, modules: dict[str, str]) -> tuple[Path, Sentence]:
    weights = _inside(name, folder, modules.get("Transformer", ""))
    about = _read_json(name, weights, "sentence_bert_config.json") if (weights / "sentence_bert_config.json").is_file() else {}
    pooling = _read_json(name, _inside(name, folder, modules["Pooling"]), "config.json") if "Pooling" in modules else {}
    chosen = next((how for key, how in POOLINGS.items() if pooling.get(key)), "mean")
    longest = about.get("max_seq_length")
    return weights, Sentence(chosen, "Normalize" in modules, longest and int(longest), bool(about.get("do_lower_case")))


def _inside(name: str, folder: Path, part: str) -> Path:
    if not (folder / part).resolve().is_relative_to(folder.resolve()):
        raise unusable(name, f"modules.json names {part!r}, which is not inside the folder")
    return folder / part


def _read_json(name: str, folder: Path, file: str) -> Any:
    try:
        with (folder / file).open("rb") as stream:
            return json.loads(stream.read(LARGEST_SETTINGS))
    except (OSError, ValueError) as error:
        raise unusable(name, f"{folder / file}: {error}") from error


def _file_digest(file: Path) -> str:
    """SHA-256 of a file; of one that has not changed since, from the cache, for weights take seconds to read."""
    about = file.stat()
    stamp = f"{file.resolve()} {about.st_size} {about.st_mtime_ns} {about.st_ino}"
    kept = cache_folder() / "digests" / hashlib.sha256(stamp.encode()).hexdigest()
    try:
        return kept.read_text(encoding="ascii")
    except (OSError, ValueError):
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        with suppress(OSError):  # a cache that cannot be written: the file is read again the next time
            atomic_write(kept, digest)
        return digest
