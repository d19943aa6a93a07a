"""Errors a user can cause and mend: each has a code, says what was wrong and where, and what to do next.

One section a code in docs/errors.md. Errors that only a programmer can cause are plain exceptions.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

TITLES: dict[str, str] = {
    "C101": "unknown configuration key",
    "C102": "configuration value of the wrong type or out of range",
    "C103": "settings that do not fit together",
    "C201": "data files are missing",
    "C202": "a data file cannot be read",
    "C203": "a node has no data",
    "C204": "unknown suite, scenario or modality",
    "C205": "a node's data folder cannot be used",
    "C206": "a sample cannot be read",
    "C207": "a label is no concept",
    "C301": "anchor set cannot be read",
    "C302": "a modality has no anchors",
    "C303": "anchor sets differ between parties",
    "C401": "too few nodes",
    "C402": "a run cannot be resumed",
    "C403": "the simulation could not be started",
    "C404": "the run failed",
    "C405": "a run folder cannot be used",
    "C406": "the run folder cannot be written",
    "C407": "no node answered the final evaluation",
    "C408": "the SuperLink takes no messages of the run",
    "C501": "a message cannot be decoded",
    "C502": "a node lacks the state it needs",
    "C601": "keys or certificates cannot be used",
    "C602": "the SuperLink does not answer",
    "C603": "a node could not be registered",
    "C604": "an agent's address cannot be used",
    "C605": "an agent cannot be started",
    "C701": "a model folder cannot be used",
    "C702": "a model has no answer",
    "C703": "answers cannot be written",
}


class ConcordError(Exception):
    """A user-facing error.

    Args:
        code: one of `TITLES`; its page is docs/errors.md#<code in lower case>.
        message: what was wrong and where (a file, a key, a node).
        hint: what to do next.
    """

    def __init__(self, code: str, message: str, hint: str) -> None:
        if code not in TITLES:
            raise ValueError(f"{code} is not a Concord error code")
        super().__init__(code, message, hint)
        self.code, self.message, self.hint = code, message, hint

    def __str__(self) -> str:
        return f"{self.code} {TITLES[self.code]}: {self.message}\n  What to do: {self.hint}"


def did_you_mean(word: str, known: Iterable[str], otherwise: str) -> str:
    """What to do about a word that nobody knows: the nearest that are known, or `otherwise` where none is near."""
    near = difflib.get_close_matches(word, list(known), n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else otherwise
