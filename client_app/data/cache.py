"""Features on disk: computed once per machine, keyed by the content of the files that they come from.

A cache file is replaced as a whole, so that any number of processes may build it at once. One that cannot be read,
or whose content does not agree with the digest in it, is built again. Without a folder that can be written the
features are simply computed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from client_app.data.corpus import Corpus, Reader
from concord.samples import Samples

log = logging.getLogger(__name__)


def load_corpus(reader: Reader, data: Path) -> Corpus:
    """The corpus of a modality, from the cache where it is there; the files of the reader must exist."""
    path = cache_folder() / f"{reader.name}-{_key(reader, data)}.safetensors"
    cached = _read(path)
    if cached is not None:
        return cached
    corpus = reader.build(data)
    _write(path, corpus)
    return corpus


def cache_folder() -> Path:
    """``$CONCORD_CACHE``, or ``~/.cache/concord``."""
    named = os.environ.get("CONCORD_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "concord"


def _key(reader: Reader, data: Path) -> str:
    digest = hashlib.sha256(f"{reader.version} {reader.salt}".encode())
    for file in reader.files:
        with (data / file.path).open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:24]


def _read(path: Path) -> Corpus | None:
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            names = json.loads(file.metadata()["names"])
            x, y_N, official_test = (file.get_tensor(name) for name in ("x", "y", "official_test"))
            digest = file.metadata()["digest"]
        corpus = Corpus(Samples(x, y_N, tuple(names["ids"])), tuple(names["owners"]), official_test)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        log.warning("The cached features %s cannot be read and are computed again: %s", path, error)
        return None
    if digest != _digest(corpus):
        log.warning("The cached features %s are damaged and are computed again", path)
        return None
    return corpus


def _write(path: Path, corpus: Corpus) -> None:
    tensors = {"x": corpus.samples.x.contiguous(), "y": corpus.samples.y, "official_test": corpus.official_test}
    names = json.dumps({"ids": corpus.samples.ids, "owners": corpus.owners})
    content = save(tensors, {"names": names, "digest": _digest(corpus)})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.stem, suffix=".part", delete=False) as part:
            part.write(content)
        Path(part.name).replace(path)
    except OSError as error:
        log.warning("Features cannot be cached in %s, set CONCORD_CACHE to a folder that can be written: %s", path.parent, error)


def _digest(corpus: Corpus) -> str:
    digest = hashlib.sha256(json.dumps([corpus.samples.ids, corpus.owners]).encode())
    for tensor in (corpus.samples.x, corpus.samples.y, corpus.official_test):
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()
