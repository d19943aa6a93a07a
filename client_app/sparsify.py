"""What a node sends of a group where not all of it travels: the largest changes, and the memory of those that did not.

Error feedback (Stich et al., NeurIPS 2018): what was left out, by selection or by coding, is added to the next change.
What was sent but did not count (a reply that was late, or left out) is added to it too.

Legend: P coordinates of a group.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from concord.functional.sparse import top_k
from concord.wire.groups import Group, pack, shapes_of
from concord.wire.sparse import quantised, sparse_to_wire
from concord.wire.v1 import federation_pb2 as pb

CODINGS = {
    "float32": pb.VALUE_CODING_FLOAT32,
    "float16": pb.VALUE_CODING_FLOAT16,
    "int8": pb.VALUE_CODING_INT8,
    "sign": pb.VALUE_CODING_SIGN,
}


def sparse_change(
    before: Group, after: Group, owed_P: Tensor | None, density: float, values: str
) -> tuple[pb.SparseUpdate, Tensor, Tensor]:
    """The change of a group as a message, what the receiver will read in it, and what it will not know.

    Args:
        before, after: the group as it came in, whose order of tensors counts, and as it is after training.
        owed_P: what earlier messages left out, shape [P]; None: nothing.
        density: share of each tensor that is sent.
        values: a name in `CODINGS`.

    Returns:
        The message, what it says and what it leaves out, each of shape [P], float32.
    """
    sizes = [math.prod(shape) for shape in shapes_of(before).values()]
    change_P = torch.from_numpy(pack({name: after[name] for name in before}) - pack(before))
    if owed_P is not None:
        change_P += owed_P
    chosen = top_k(change_P, sizes, density)
    said_P = quantised(chosen, sizes, CODINGS[values]).dense()
    return sparse_to_wire(chosen, sizes, CODINGS[values]), said_P, change_P - said_P
