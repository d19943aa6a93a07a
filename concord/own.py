"""Suites ``own`` and ``own-graph``: data of a user's own, whose anchor set says what they must be like to go together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from concord.config import RunConfig
from concord.errors import ConcordError
from concord.graphs import OWN_GRAPH

if TYPE_CHECKING:
    from concord.anchors import AnchorSet  # torch, which a command that only submits a run need not wait for

OWN = "own"  # a suite without packs: its nodes are folders of samples
OF_FOLDERS = (OWN, OWN_GRAPH)


def require_anchors(config: RunConfig) -> None:
    """ConcordError C302, where a run on own data names no anchors."""
    if config.suite in OF_FOLDERS and not config.anchors:
        hint = "build a set with `concord anchors build` and name it with --anchors"
        raise ConcordError("C302", f"suite {config.suite} has no anchors of its own, and none are named", hint)


def with_encoders(config: RunConfig, anchors: AnchorSet) -> RunConfig:
    """The run with the encoders that its anchors were prepared for; ConcordError C303, where it names others."""
    filled = config.model_copy(update={"encoders": _written({**anchors.encoders, **config.encoder_names})})
    check_encoders(filled, anchors)
    return filled


def check_encoders(config: RunConfig, anchors: AnchorSet) -> None:
    """ConcordError C303, where the anchors are of samples and the run of graphs or the reverse, or for other encoders."""
    if anchors.of_graphs != config.of_graphs:
        kinds = {True: "a graph", False: "samples"}
        what = f"suite {config.suite} is of {kinds[config.of_graphs]}, the anchors {anchors.digest[:12]} of"
        hint = "build them from graphs with `concord anchors build --graph`, from samples with `--modality`"
        raise ConcordError("C303", f"{what} {kinds[anchors.of_graphs]}", hint)
    if config.encoder_names != dict(anchors.encoders):
        right = _written(anchors.encoders)
        what = f"the anchors {anchors.digest[:12]} were prepared for {right or 'no encoder by name'}"
        raise ConcordError(
            "C303", f"{what}, the run has encoders = {config.encoders!r}", f"set encoders='{right}', or leave it out"
        )


def _written(encoders: Mapping[str, str]) -> str:
    return ",".join(f"{modality}={name}" for modality, name in sorted(encoders.items()))
