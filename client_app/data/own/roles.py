"""Which samples of a node are for training and which for tests: pure, and the same on every start.

What the data say themselves counts first. Else a fifth of the owners, where there are two or more, is held out whole
(``unseen``), and of the rest a fifth by a hash of the id (``random``): a sample that is added moves no other one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from client_app.data.own.entry import Entry
from concord.errors import ConcordError
from concord.seeding import derive_seed

Role = Literal["train", "random", "unseen"]
TEST_SHARE = 0.2
SAID: dict[str, Role] = {"train": "train", "training": "train", "test": "random", "random": "random", "unseen": "unseen"}
_SEEDS = 2.0**63  # of `derive_seed`


def roles_of(entries: Iterable[Entry], seed: int) -> dict[str, Role]:
    """The role of each instance by its id, one for all its modalities; ConcordError C205 for an unknown split."""
    owner_of: dict[str, str | None] = {}
    split_of: dict[str, Role] = {}
    for entry in entries:
        owner_of[entry.id] = owner_of.get(entry.id) or entry.owner
        if entry.split is not None:
            split_of.setdefault(entry.id, _said(entry))
    unseen = _held_out({owner for owner in owner_of.values() if owner}, seed)
    return {id_: split_of.get(id_) or _drawn(id_, owner in unseen, seed) for id_, owner in owner_of.items()}


def _said(entry: Entry) -> Role:
    role = SAID.get(str(entry.split).lower())
    if role is None:
        raise ConcordError("C205", f"{entry.place}: split {entry.split!r}", "write train, test or unseen")
    return role


def _held_out(owners: set[str], seed: int) -> set[str]:
    if len(owners) < 2:
        return set()
    drawn = sorted(owners, key=lambda owner: derive_seed(seed, "unseen", owner))
    return set(drawn[: max(1, round(TEST_SHARE * len(owners)))])


def _drawn(id_: str, is_unseen: bool, seed: int) -> Role:
    if is_unseen:
        return "unseen"
    return "random" if derive_seed(seed, "random", id_) < TEST_SHARE * _SEEDS else "train"
