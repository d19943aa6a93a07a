"""Class means of features as messages, in 8 bits a value and nothing for zeros: they are often those of bags of words.

Legend: C classes, F features.
"""

from __future__ import annotations

import torch
from torch import Tensor

from concord.functional.sparse import top_k
from concord.wire.messages import WireError
from concord.wire.sparse import sparse_from_wire, sparse_to_wire
from concord.wire.v1 import federation_pb2 as pb

MOST_VALUES = 1 << 22  # of one message, before any memory is taken for them
MOST_NODES = 1 << 62  # of all classes: their sum is a whole number of 64 bits


def class_means_to_wire(modality: str, mean_CF: Tensor, count_C: Tensor) -> pb.ClassMeans:
    """Means of a modality's features, which are finite, and how many nodes are behind each."""
    classes, features = mean_CF.shape
    sizes = [features] * classes
    told = sparse_to_wire(top_k(mean_CF.flatten(), sizes, 1.0), sizes, pb.VALUE_CODING_INT8)
    return pb.ClassMeans(modality=modality, features=features, means=told, counts=[int(n) for n in count_C.tolist()])


def class_means_from_wire(message: pb.ClassMeans, classes: int) -> tuple[Tensor, Tensor]:
    """Means [C, F], zero for a class without nodes, and counts [C], int64.

    Raises:
        WireError: unless they are finite, of the classes of the run, of no more features than fit a message, and of no more nodes
            than can be counted.
    """
    if len(message.counts) != classes or message.features * classes > MOST_VALUES:
        what = f"{message.features} features of {message.modality!r}, {len(message.counts)} classes"
        raise WireError(f"class means of {what}, where there are {classes} and at most {MOST_VALUES} values")
    if sum(message.counts) > MOST_NODES:
        raise WireError(f"class means of {message.modality!r} of {sum(message.counts)} nodes, at most {MOST_NODES} count")
    count_C = torch.tensor(message.counts, dtype=torch.int64)
    mean_CF = sparse_from_wire(message.means, [message.features] * classes).dense().reshape(classes, message.features)
    return torch.where(count_C[:, None] > 0, mean_CF, 0), count_C
