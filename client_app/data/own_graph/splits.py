"""What the nodes of a party's own graph are for: pure, and the same on every start.

What the data say counts first. Else a fifth of the nodes is for validation and a fifth for tests, by a hash of the id alone: a
node that is added moves no other one, and one that two parties have is learnt from at neither or at both.
"""

from __future__ import annotations

from client_app.data.graph import TEST, TRAIN, VALIDATION
from concord.seeding import derive_seed

NOTHING = "none"  # said of a node that is neither learnt from nor tested
SAID = {
    **{"train": TRAIN, "training": TRAIN, "val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION},
    **{"test": TEST, NOTHING: NOTHING},
}
SHARE = 0.2
_SEEDS = 2.0**63  # of `derive_seed`


def part_of(id_: str, said: str, seed: int) -> str:
    """The part that a node is in, of which this is said, if anything; KeyError for what cannot be said."""
    if said:
        return SAID[said.lower()]
    luck = derive_seed(seed, "split", id_) / _SEEDS
    return TEST if luck < SHARE else VALIDATION if luck < 2 * SHARE else TRAIN
