"""What encoders take, kept on disk: each sample is prepared once, and features are mapped, never in memory as a whole.

A file holds the features of one modality of a folder in a given order, beside it the keys of its rows. With other
samples, or in another order, it is written anew; what an older file has is taken from there.

Legend: N samples.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from concord.errors import ConcordError
from concord.run_folder import remove_unfinished

KEPT = 3  # files of a folder and modality: orders of other seeds, mostly
KEY = 16  # bytes
STALE_SECONDS = 86_400.0  # nobody prepares a folder for so long without writing
CHUNK = 1024  # rows that are copied at once

Prepare = Callable[[Sequence[int]], Iterator[tuple[int, Tensor]]]  # samples by position, as they come
log = logging.getLogger(__name__)


def features(kept: Path, about: str, keys: Sequence[str], prepare: Prepare) -> Tensor:
    """Features [N, ...] of N samples, at least one, on a memory map.

    Args:
        kept: folder of all features.
        about: what the features are of and for: folder, modality and encoder.
        keys: of each sample what changes when its features do.
        prepare: makes the features of the samples at some positions, in any order.

    Raises:
        ConcordError: C406, when they cannot be written.
    """
    folder = kept / hashlib.sha256(about.encode()).hexdigest()[:24]
    key_N = [hashlib.sha256(f"{about}\0{key}".encode()).digest()[:KEY] for key in keys]
    path = folder / f"{hashlib.sha256(b''.join(key_N)).hexdigest()[:24]}.npy"
    if (mapped := _mapped(path, len(keys))) is None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            remove_unfinished(folder, STALE_SECONDS)
            _write(path, key_N, prepare)
            _forget_older(folder)
        except OSError as error:
            hint = "free space, or choose another place: `state-folder` of the node, or CONCORD_CACHE"
            raise ConcordError("C406", f"{folder}: {error}", hint) from error
        mapped = np.load(path, mmap_mode="c", allow_pickle=False)
    return torch.from_numpy(mapped)


def _mapped(path: Path, rows: int) -> NDArray[Any] | None:
    """The array in a file, copied on write as torch wants it; None where there is none of so many rows."""
    try:
        mapped: NDArray[Any] = np.load(path, mmap_mode="c", allow_pickle=False)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.warning("The features %s cannot be read and are made again: %s", path, error)
        return None
    return mapped if len(mapped) == rows else None


def _write(path: Path, key_N: Sequence[bytes], prepare: Prepare) -> None:
    old, row_of = _newest(path.parent)
    known = [(n, row_of[key]) for n, key in enumerate(key_N) if key in row_of]
    made = prepare([n for n, key in enumerate(key_N) if key not in row_of])
    first = next(made, None)
    like = first[1].numpy() if first else old[0] if old is not None else None
    if like is None:
        raise ValueError("no sample was made")
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        new = np.lib.format.open_memmap(part, "w+", like.dtype, (len(key_N), *like.shape))
        for n, x in chain([first] if first else [], made):
            if x.shape != like.shape:
                raise ValueError(f"a sample of shape {list(x.shape)} beside one of {list(like.shape)}")
            new[n] = x.numpy()
        for start in range(0, len(known), CHUNK):
            to, at = zip(*known[start : start + CHUNK], strict=True)
            new[list(to)] = old[list(at)]  # type: ignore[index]
        new.flush()
        path.with_suffix(".keys").write_bytes(b"".join(key_N))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _newest(folder: Path) -> tuple[NDArray[Any] | None, dict[bytes, int]]:
    """The features that were written last, and the row of each key in them."""
    for path in _newest_first(folder):
        with suppress(FileNotFoundError):
            keys = path.with_suffix(".keys").read_bytes()
            if keys and (mapped := _mapped(path, len(keys) // KEY)) is not None:
                return mapped, {keys[i : i + KEY]: i // KEY for i in range(0, len(keys), KEY)}
    return None, {}


def _forget_older(folder: Path) -> None:
    """Leaves the newest files; a process that has an older one open keeps it."""
    for path in _newest_first(folder)[KEPT:]:
        path.unlink(missing_ok=True)
        path.with_suffix(".keys").unlink(missing_ok=True)


def _newest_first(folder: Path) -> list[Path]:
    """Files of features; another process may take one away at any moment."""
    written: list[tuple[int, Path]] = []
    for path in folder.glob("*.npy"):
        with suppress(FileNotFoundError):
            written.append((path.stat().st_mtime_ns, path))
    return [path for _, path in sorted(written, reverse=True)]
