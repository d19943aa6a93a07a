"""Why a reply, or a node, does not count."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from concord.names import shown

MOST_LINES, LONGEST_LINE = 8, 1000  # of a detail: some of it comes from the node, and all is kept in the run folder


class Reason(StrEnum):
    """Why a reply, or a node, was left out."""

    NO_REPLY = "no-reply"
    NODE_ERROR = "node-error"
    UNDECODABLE = "undecodable"
    OTHER_ROUND = "other-round"
    OTHER_VERSION = "other-version"
    OTHER_ANCHORS = "other-anchors"
    OTHER_NODE = "other-node"
    NO_DATA = "no-data"
    OTHER_ENCODER = "other-encoder"
    DUPLICATE_NAME = "duplicate-name"
    NEEDS_BASE = "needs-base"
    UNKNOWN_MODALITY = "unknown-modality"
    UNKNOWN_GROUP = "unknown-group"
    WRONG_SHAPE = "wrong-shape"
    NOT_FINITE = "not-finite"
    LARGE_NORM = "large-norm"
    CLAIMED_EXAMPLES = "claimed-examples"
    CLAIMED_PRECISION = "claimed-precision"
    EVALUATION = "evaluation"
    GRAM = "gram"


@dataclass(frozen=True)
class Rejection:
    """A reply that did not count: the node's name, why, and the detail a person needs."""

    node: str
    reason: Reason
    detail: str


class Rejected(Exception):  # noqa: N818 - a verdict on a reply, not an error of the program
    """Raised inside validation; carries the reason."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, "\n".join(shown(line, LONGEST_LINE) for line in _ends(detail.split("\n")))


def _ends(lines: list[str]) -> list[str]:
    """The first and the last lines: a text of many has what it is about there."""
    return lines if len(lines) <= MOST_LINES else [*lines[: MOST_LINES // 2], "…", *lines[-MOST_LINES // 2 :]]
