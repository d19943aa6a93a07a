"""Words as character codes: no vocabulary and no language, the same for every script.

A word is put into Unicode's compatibility composition (NFKC) and case-folded. A code point c becomes
``1 + floor(frac(c * 2654435761 / 2^32) * 2047)`` in 1..2047, multiplicative hashing with the golden ratio (Knuth, The
Art of Computer Programming 3, 6.4): consecutive code points, as an alphabet has, fall far apart. 0 is padding.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import torch
from torch import Tensor

LENGTH = 24
CODES = 2048
MULTIPLIER = 2654435761


def normalise(word: str) -> str:
    """NFKC, case-folded, without space around."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", word).casefold()).strip()


def encode(words: Sequence[str]) -> Tensor:
    """Codes [N, 24], int64, of N words; longer words are cut off."""
    rows = [[code(character) for character in normalise(word)[:LENGTH]] for word in words]
    return torch.tensor([row + [0] * (LENGTH - len(row)) for row in rows], dtype=torch.int64).reshape(len(rows), LENGTH)


def code(character: str) -> int:
    """The code of one character, 1..2047."""
    return 1 + ((ord(character) * MULTIPLIER % 2**32) * (CODES - 1) >> 32)
