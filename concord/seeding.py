"""Random numbers that depend on what they are for, never on who asked before.

Every draw has a purpose (seed, node, round, ...); its generator is derived from that alone, so a run that was
stopped and resumed, or whose nodes run in another order, gives the same figures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive_seed(*purpose: str | int) -> int:
    """A 63-bit seed for a purpose."""
    text = "\x1f".join(str(part) for part in purpose)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator_for(*purpose: str | int) -> torch.Generator:
    """A CPU generator for a purpose."""
    return torch.Generator().manual_seed(derive_seed(*purpose))


@contextmanager
def seeded(*purpose: str | int) -> Iterator[None]:
    """Runs the body with torch's global generators set for a purpose, and puts that of the CPU back after."""
    seed = derive_seed(*purpose)
    with torch.random.fork_rng(devices=[]):
        if torch.cuda.is_available():
            torch.manual_seed(seed)
        else:  # which would keep a traceback for each call until there is a GPU
            torch.default_generator.manual_seed(seed)
        yield
