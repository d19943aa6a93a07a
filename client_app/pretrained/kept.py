"""What a frozen encoder gave for a sample, on the node's disk: one SQLite file an encoder, memory-mapped, keyed by content.

SQLite lets many processes write and leaves no half-written row. A row says its checksum, so a damaged one is computed again,
and so is everything when the file itself cannot be read. Where it cannot be written, nothing is kept.

Legend: L tokens, E width.
"""

from __future__ import annotations

import logging
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

log = logging.getLogger(__name__)

PATIENCE = 60.0  # seconds that a writer waits for another
MAPPED = 1 << 30  # bytes of the file that are mapped into memory
QUESTION = 500  # keys of one query; SQLite takes 999 at least
CHECKSUM = 4  # bytes


class KeptTokens:
    """Tokens [L, E], float16, by the digest of their sample.

    Args:
        file: made where it is missing.
        shape: L and E.
    """

    def __init__(self, file: Path, shape: tuple[int, int]) -> None:
        self.file, self.shape = file, shape

    def read(self, keys: Sequence[bytes]) -> dict[bytes, Tensor]:
        """Those of `keys` that are here and whole."""
        if not self.file.exists():
            return {}
        found: dict[bytes, Tensor] = {}
        try:
            with self._open() as database:
                for begin in range(0, len(keys), QUESTION):
                    part = keys[begin : begin + QUESTION]
                    query = f"SELECT key, tokens FROM kept WHERE key IN ({','.join('?' * len(part))})"  # noqa: S608 - marks alone
                    rows = database.execute(query, part)
                    found |= {key: tokens for key, value in rows if (tokens := self._decoded(value)) is not None}
        except sqlite3.OperationalError as error:
            log.warning("What encoders gave cannot be read from %s, and is computed: %s", self.file, error)
        except sqlite3.DatabaseError as error:
            log.warning("%s is damaged, and begun anew: %s", self.file, error)
            self._remove()
        return found

    def write(self, rows: Mapping[bytes, Tensor]) -> None:
        """Keeps tokens, all or none of them."""
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self._open() as database, database:
                database.execute("CREATE TABLE IF NOT EXISTS kept (key BLOB PRIMARY KEY, tokens BLOB NOT NULL) WITHOUT ROWID")
                encoded = ((key, _encoded(tokens_LE)) for key, tokens_LE in rows.items())
                database.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?)", encoded)
        except (OSError, sqlite3.Error) as error:
            log.warning(
                "What encoders gave cannot be kept in %s, set CONCORD_CACHE to a folder that can be written: %s",
                self.file.parent,
                error,
            )

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.file, timeout=PATIENCE)) as database:
            database.execute(f"PRAGMA mmap_size = {MAPPED}")
            yield database

    def _decoded(self, value: bytes) -> Tensor | None:
        content = value[CHECKSUM:]
        if len(content) != 2 * self.shape[0] * self.shape[1] or zlib.crc32(content).to_bytes(CHECKSUM, "big") != value[:CHECKSUM]:
            return None
        return torch.from_numpy(np.frombuffer(content, np.float16).reshape(self.shape).copy())

    def _remove(self) -> None:
        for file in (self.file, self.file.with_name(f"{self.file.name}-journal")):
            file.unlink(missing_ok=True)


def _encoded(tokens_LE: Tensor) -> bytes:
    content = tokens_LE.contiguous().numpy().tobytes()
    return zlib.crc32(content).to_bytes(CHECKSUM, "big") + content
