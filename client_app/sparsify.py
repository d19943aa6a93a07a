"""What a node sends of a group where not all of it travels: the largest changes, and the memory of those that did not.

Error feedback (Stich et al., NeurIPS 2018): what was left out, by selection or by coding, is added to the next change.

Legend: P coordinates of a group.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from concord.functional.sparse import top_k
from concord.wire.groups import Group, pack, shapes_of
from concord.wire.sparse import sparse_from_wire, sparse_to_wire
from concord.wire.v1 import federation_pb2 as pb

CODINGS = {
    "float32": pb.VALUE_CODING_FLOAT32,
    "float16": pb.VALUE_CODING_FLOAT16,
    "int8": pb.VALUE_CODING_INT8,
    "sign": pb.VALUE_CODING_SIGN,
}


def sparse_change(
    before: Group, after: Group, left_out_P: Tensor | None, density: float, values: str
) -> tuple[pb.SparseUpdate, Tensor]:
    """The change of a group as a message, and what the receiver will not know of it.

    Args:
        before, after: the group as it came in and as it is after training.
        left_out_P: what the last message left out, shape [P]; None: nothing.
        density: share of each tensor that is sent.
        values: a name in `CODINGS`.

    Returns:
        The message, and what it leaves out, shape [P], float32.
    """
    sizes = [math.prod(shape) for shape in shapes_of(before).values()]
    change_P = torch.from_numpy(pack(after) - pack(before))
    if left_out_P is not None:
        change_P += left_out_P
    message = sparse_to_wire(top_k(change_P, sizes, density), sizes, CODINGS[values])
    return message, change_P - sparse_from_wire(message, sizes).dense()
