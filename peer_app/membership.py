"""Who is there: who has introduced itself, when each was last heard of, and the overlay among those who are left.

Agents tell their neighbours of whom they have heard and when, and greet those of whom nothing was heard for a while, so who is
gone is known without anybody in charge. Who was silent for more than `overlay.patience` rounds counts as gone: the overlays
are drawn without it. When it speaks again, it is back. Two agents may see this in different rounds, and draw other overlays;
then they mix what both expect, with the same weight since each says its degree, or nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping

from concord.agreement import Agreement, agree, offer_problem
from concord.config import RunConfig
from concord.wire.v1 import federation_pb2 as pb


class UnfitError(Exception):
    """Another agent cannot take part with this one; the text says why."""


class Membership:
    """All agents of a federation as one of them sees them. All methods may be called from any thread.

    Args:
        own: how this agent introduces itself.
        others: names of all other agents.
        config: the run.
    """

    def __init__(self, own: pb.Hello, others: Collection[str], config: RunConfig) -> None:
        self._own, self._others, self._config = own, frozenset(others) - {own.agent}, config
        self._lock = threading.Lock()
        self._hellos: dict[str, pb.Hello] = {}
        self._heard: dict[str, int] = {}
        self._round = own.round
        self._drawn: tuple[frozenset[str], Agreement] | None = None

    @property
    def others(self) -> frozenset[str]:
        return self._others

    def enter(self, round_: int) -> None:
        """The agent is in this round now."""
        with self._lock:
            self._round = round_

    def skip_to(self, round_: int) -> None:
        """The agent leaves out rounds up to this one: nobody was silent in them."""
        with self._lock:
            present, left_out = self._present(), round_ - self._round
            self._round = round_
            for name in present:
                self._heard[name] += left_out

    def objection(self, name: str) -> str:
        """Why nothing of this agent is read; empty: it may speak."""
        return "" if name in self._others else f"{name!r} is not among the agents that {self._own.agent} was told of"

    def take(self, hello: pb.Hello) -> bool:
        """Lets an agent in that introduces itself; whether it was not there before.

        Raises:
            UnfitError: the two cannot work together.
        """
        if why := self.objection(hello.agent) or misfit(self._own, hello):
            raise UnfitError(why)
        with self._lock:
            came = hello.agent not in self._present()
            if hello.agent in self._hellos and list(self._hellos[hello.agent].slices) != list(hello.slices):
                self._drawn = None
            self._hellos[hello.agent] = hello
            self._heard[hello.agent] = max(self._round, self._heard.get(hello.agent, 0))
            return came

    def hear(self, update: pb.SliceUpdate) -> None:
        """Notes who spoke, and of whom it has heard. What it claims of rounds to come is not believed."""
        with self._lock:
            for name in self._hellos:
                round_ = self._round if name == update.agent else update.heard.get(name, 0)
                self._heard[name] = max(self._heard[name], min(round_, self._round))

    def heard(self) -> dict[str, int]:
        """By agent the last round in which it is known to have been there, this one included."""
        with self._lock:
            return {**self._heard, self._own.agent: self._round}

    def present(self) -> frozenset[str]:
        """Those who have introduced themselves and are not gone."""
        with self._lock:
            return self._present()

    def known(self) -> frozenset[str]:
        """Those who have introduced themselves, whether or not they are gone."""
        with self._lock:
            return frozenset(self._hellos)

    def absent(self) -> frozenset[str]:
        """Those who have not introduced themselves, or are gone."""
        return self._others - self.present()

    def quiet(self) -> frozenset[str]:
        """Those of whom nothing was heard for so long that they would soon count as gone, or do: whom to greet."""
        least = max(1, self._config.overlay.patience - 1)
        with self._lock:
            return frozenset(name for name in self._others if self._round - self._heard.get(name, -least) >= least)

    def agreement(self) -> Agreement:
        """Who exchanges what with whom, among those who are there."""
        with self._lock:
            present = self._present()
            if self._drawn is None or self._drawn[0] != present:
                offers = {self._own.agent: self._own.slices, **{name: self._hellos[name].slices for name in present}}
                self._drawn = (present, agree(offers, self._config))
            return self._drawn[1]

    def _present(self) -> frozenset[str]:
        patience = self._config.overlay.patience
        return frozenset(name for name in self._hellos if self._round - self._heard[name] <= patience)


def misfit(own: pb.Hello, other: pb.Hello) -> str:
    """Why two agents cannot work together; empty: they can."""
    if problem := offer_problem(other.slices):
        return f"{other.agent} offers {problem}"
    encoders = {holding.modality: holding.encoder for holding in own.holdings}
    if other.app_version != own.app_version:
        return f"{other.agent} has Concord {other.app_version[:20]!r}, {own.agent} {own.app_version!r}: install the same version"
    if different := [key for key, value in sorted(own.settings.items()) if other.settings.get(key) != value]:
        told = ", ".join(f"{key} ({other.settings.get(key, '')[:20]!r} there, {own.settings[key]!r} here)" for key in different)
        return f"{other.agent} was told of another run than {own.agent}: {told} must be the same for all agents"
    if list(other.concepts) != list(own.concepts):
        return f"{other.agent} has a label space of {len(other.concepts)} classes that is not that of {own.agent}"
    if other.anchor_digest != own.anchor_digest:
        return (
            f"{other.agent} has anchors {other.anchor_digest[:12]!r}, {own.agent} {own.anchor_digest[:12]!r}: copy the same set"
        )
    for holding in other.holdings:
        if (encoder := encoders.get(holding.modality, holding.encoder)) != holding.encoder:
            return f"{other.agent} reads {holding.modality} by {holding.encoder[:40]!r}, {own.agent} by {encoder!r}"
    return ""


def majority_round(rounds: Mapping[str, int]) -> int:
    """The round that most neighbours are in or have passed: half of them, or fewer, move nobody.

    Args:
        rounds: of each neighbour what it says of itself; where it says nothing, the agent's own.

    Returns:
        The lower median, so of two it is the smaller; 0 without neighbours.
    """
    ordered = sorted(rounds.values())
    return ordered[(len(ordered) - 1) // 2] if ordered else 0
