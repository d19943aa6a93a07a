"""Scenarios: which labels the nodes have and whether heads travel, told by one word in the run config."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from concord.errors import ConcordError

Kind = Literal["labelled", "unlabelled", "disjoint-labels", "local-heads"]
USAGE = "labelled, unlabelled=<modality>, disjoint-labels or local-heads"


@dataclass(frozen=True)
class Scenario:
    """`kind`, and for ``unlabelled`` the modality whose nodes have no labels."""

    kind: Kind
    modality: str = ""

    def __str__(self) -> str:
        return f"{self.kind}={self.modality}" if self.modality else self.kind


def parse_scenario(text: str, modalities: Sequence[str]) -> Scenario:
    """Reads a scenario; ConcordError C204 when it is none, or names a modality that the suite does not have."""
    kind, _, modality = text.partition("=")
    if kind == "unlabelled":
        if modality not in modalities:
            raise ConcordError("C204", f"scenario {text!r}: no modality {modality!r}", f"choose one of: {', '.join(modalities)}")
        return Scenario("unlabelled", modality)
    if not modality:
        for plain in ("labelled", "disjoint-labels", "local-heads"):
            if kind == plain:
                return Scenario(plain)
    raise ConcordError("C204", f"no scenario {text!r}", f"choose one of: {USAGE}")
