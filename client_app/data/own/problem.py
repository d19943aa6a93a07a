"""What is to be said about a user's data or anchors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "note"]


@dataclass(frozen=True)
class Problem:
    """One thing about a sample, a folder or an anchor set: an error must be mended, a note is to be known.

    Attributes:
        what: the sort, in a word: problems of one sort are listed together.
    """

    place: str
    severity: Severity
    what: str
    message: str
    hint: str
