"""Who is asked for which groups: nobody is asked for what it does not hold."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from concord.wire.groups import modality_of
from concord.wire.v1 import federation_pb2 as pb


class Plan(Protocol):
    """Chooses the groups that travel between the server and one node."""

    def groups_for(self, census: pb.Census, groups: Collection[str]) -> list[str]:
        """Of the server's `groups`, those that a node with this census gets and sends back."""
        ...


class HeldGroups:
    """Every group without a modality in its name, and those of the modalities that the node holds."""

    def groups_for(self, census: pb.Census, groups: Collection[str]) -> list[str]:
        held = {holding.modality for holding in census.holdings}
        return [name for name in groups if not modality_of(name) or modality_of(name) in held]


class NoGroups:
    """Nothing travels: every node keeps its own model."""

    def groups_for(self, census: pb.Census, groups: Collection[str]) -> list[str]:
        return []
