"""Who exchanges which slices with whom, from what all agents offer; and what they must have alike to talk at all."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from concord.config import RunConfig
from concord.overlay import Graph, SliceLink, links_of, slice_overlays
from concord.wire.messages import encode
from concord.wire.v1 import federation_pb2 as pb

Offers = Mapping[str, Iterable[pb.GroupManifest]]  # by agent: the slices that it has, and their tensors
Links = Mapping[str, tuple[SliceLink, ...]]  # by neighbour: the slices on that link

_SEPARATOR = "\0"  # between a slice and the digest of its tensors; in no name
MOST_SLICES, MOST_TENSORS = 256, 10_000  # that an agent may offer; all others draw overlays from them
MOST_DIMENSIONS, LONGEST_NAME = 8, 256  # of a tensor, and of its name or that of a slice
MUST_BE_ALIKE = ("method", "seed", "rounds", "overlay.kind", "overlay.degree", "overlay.budget")


@dataclass(frozen=True)
class Agreement:
    """The overlay of every slice, among the agents for which it consists of the same tensors.

    Attributes:
        overlays: by slice and digest of its tensors the neighbours of each agent.
        mismatches: by slice that agents cannot exchange because their tensors differ, who has which, as a sentence.
    """

    overlays: Mapping[str, Graph]
    mismatches: Mapping[str, str] = field(default_factory=dict)

    def links(self, agent: str) -> Links:
        """What an agent exchanges with whom."""
        return {
            neighbour: tuple(SliceLink(_name(s.slice), s.degree) for s in slices)
            for neighbour, slices in links_of(agent, self.overlays).items()
        }


def agree(offers: Offers, config: RunConfig) -> Agreement:
    """The overlays among these agents; the same wherever it is computed."""
    holders: dict[str, set[str]] = defaultdict(set)
    shapes: dict[str, dict[str, str]] = defaultdict(dict)  # by slice and digest: the tensors as text
    for agent, slices in offers.items():
        for manifest in slices:
            digest = hashlib.sha256(encode(manifest)).hexdigest()
            holders[f"{manifest.group}{_SEPARATOR}{digest}"].add(agent)
            shapes[manifest.group][digest] = _text(manifest)
    overlay = config.overlay
    graphs = slice_overlays({s: frozenset(h) for s, h in holders.items()}, overlay.kind, overlay.degree, config.seed)
    mismatches = {
        name: f"slice {name}: "
        + "; ".join(f"{', '.join(sorted(holders[f'{name}{_SEPARATOR}{d}']))}: {t}" for d, t in sorted(of.items()))
        for name, of in sorted(shapes.items())
        if len(of) > 1
    }
    return Agreement(graphs, mismatches)


def offer_problem(slices: Sequence[pb.GroupManifest]) -> str:
    """What is wrong with the slices that an agent offers, as a sentence; empty: nothing."""
    tensors = sum(len(manifest.tensors) for manifest in slices)
    if len(slices) > MOST_SLICES or tensors > MOST_TENSORS:
        return f"{len(slices)} slices of {tensors} tensors: at most {MOST_SLICES} of {MOST_TENSORS} are taken"
    if len({manifest.group for manifest in slices}) != len(slices) or any(_SEPARATOR in m.group for m in slices):
        return f"{len(slices)} slices, one of them twice or by a name that no slice has"
    specs = [spec for manifest in slices for spec in manifest.tensors]
    if any(len(spec.shape) > MOST_DIMENSIONS for spec in specs):
        return f"a tensor of more than {MOST_DIMENSIONS} dimensions"
    if any(not name.isprintable() or len(name) > LONGEST_NAME for name in (*(m.group for m in slices), *(s.name for s in specs))):
        return f"a slice or a tensor whose name has more than {LONGEST_NAME} letters, or some that cannot be shown"
    return ""


def settings_alike(config: RunConfig) -> dict[str, str]:
    """By key the settings that all agents must have alike: with others, they would not be in one federation."""
    flat = config.flat()
    return {key: str(flat[key]) for key in MUST_BE_ALIKE}


def federation_digest(config: RunConfig) -> str:
    """Digest of the settings that all agents must have alike."""
    flat = config.flat()
    return hashlib.sha256(json.dumps({key: flat[key] for key in MUST_BE_ALIKE}, sort_keys=True).encode()).hexdigest()


def links_to_wire(links: Links) -> list[pb.Link]:
    """Links as messages."""
    return [
        pb.Link(
            neighbour=neighbour,
            slices=[pb.LinkedSlice(slice=s.slice, degree=s.degree) for s in slices],
        )
        for neighbour, slices in links.items()
    ]


def links_from_wire(messages: Iterable[pb.Link]) -> Links:
    """Links from messages, sorted by neighbour."""
    found = {link.neighbour: tuple(SliceLink(s.slice, s.degree) for s in link.slices) for link in messages}
    return dict(sorted(found.items()))


def _name(slice_: str) -> str:
    return slice_.partition(_SEPARATOR)[0]


def _text(manifest: pb.GroupManifest) -> str:
    first = [f"{spec.name} {list(spec.shape)}" for spec in manifest.tensors[:3]]
    return f"{len(manifest.tensors)} tensors, {', '.join(first)}" + (", ..." if len(manifest.tensors) > 3 else "")
