"""Three nodes of suite `demo`, one a modality, as the real federations of benchmarks have them."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from concord.commands.inspect import deal_data, write_anchors
from concord.config import Scalar

NODES = ("image-forms-a", "word-west-europe", "tone-north")


def deal(home: Path) -> dict[str, Scalar]:
    """Writes the nodes' data and the anchors below `home`; what the config of a run on them says."""
    quiet = Console(quiet=True)
    deal_data(home, "demo", "labelled", None, 0, NODES, quiet)
    write_anchors(home / "anchors", "demo", "labelled", None, 0, quiet)
    return {"anchors": str(home / "anchors"), "min-nodes": len(NODES), "device": "cpu"}


def node_configs(home: Path) -> dict[str, dict[str, str]]:
    """Node config by name."""
    return {name: {"data": str(home / name)} for name in NODES}
