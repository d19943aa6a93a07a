"""Sparse updates on the wire: which coordinates, and their values, in close to as few bits as their entropy.

Which coordinates: nothing where it is all of them, else a bitmap or Golomb-Rice coded gaps, whichever is smaller. Values:
see `concord.wire.values`. Streams of bytes that are not uniform are Huffman-coded.

A receiver knows the tensors of the group and takes nothing else on trust: whatever the message claims, memory stays below
about 60 bytes a coordinate of the group (measured: that of INT8 where all are sent). Groups have fewer than 2^30 coordinates.

Legend: P coordinates, K of them sent, T tensors that have one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from concord.functional.sparse import SparseUpdate
from concord.wire.messages import WireError
from concord.wire.streams import (
    Indices,
    bytes_for,
    pack_bits,
    read_exactly,
    read_gaps,
    unpack_bits,
    write_gaps,
    write_stream,
)
from concord.wire.v1 import federation_pb2 as pb
from concord.wire.values import Coded, Coding, code_values, known_coding, planes_of, read_values, shared_of


def sparse_to_wire(update: SparseUpdate, sizes: Sequence[int], coding: Coding) -> pb.SparseUpdate:
    """An update as a message; zeros do not travel.

    Args:
        update: coordinates of a group, finite.
        sizes: numbers of coordinates of the group's tensors, in order.
        coding: how to write the values; all but FLOAT32 lose precision, see `quantised`.

    Raises:
        ValueError: sizes that do not add up to those of the update, or a coding that does not exist.
    """
    index_K, value_K = _nonzero(update, sizes, coding)
    coded = code_values(value_K, _counts(index_K, sizes), coding)
    message = pb.SparseUpdate(
        coding=coding,
        count=len(index_K),
        scales=coded.scale_T.tolist(),
        floors=coded.floor_T.tolist(),
        planes=[write_stream(plane) for plane in coded.plane_WK],
    )
    if 0 < len(index_K) < update.size:
        is_sent_P = np.zeros(update.size, np.bool_)
        is_sent_P[index_K] = True
        bitmap, gaps = write_stream(pack_bits(is_sent_P)), write_gaps(index_K)
        if gaps.ByteSize() < bitmap.ByteSize():
            message.gaps.CopyFrom(gaps)
        else:
            message.bitmap.CopyFrom(bitmap)
    return message


def sparse_from_wire(message: pb.SparseUpdate, sizes: Sequence[int]) -> SparseUpdate:
    """The update in a message, from whatever arrived.

    Args:
        message: what a node sent.
        sizes: numbers of coordinates of the group's tensors, in order, as the receiver knows them.

    Returns:
        The update; indices ascending and in range, values finite.

    Raises:
        WireError: the message is no update of such a group.
    """
    size, count, coding = sum(sizes), message.count, message.coding
    if count > size or not known_coding(coding):
        raise WireError(f"a sparse update of {count} of {size} coordinates in coding {coding}")
    planes, length = planes_of(coding, count)
    if len(message.planes) != planes:
        raise WireError(f"a sparse update with {len(message.planes)} planes of values where coding {coding} has {planes}")
    plane_WK = np.stack([read_exactly(plane, length, "values") for plane in message.planes])
    index_K = _read_support(message, size)
    count_T = _counts(index_K, sizes)
    if (len(message.scales), len(message.floors)) != shared_of(coding, len(count_T)):
        raise WireError(f"{len(message.scales)} scales and {len(message.floors)} floors of {len(count_T)} tensors")
    scale_T, floor_T = np.array(message.scales, np.float32), np.array(message.floors, np.float32)
    value_K = read_values(Coded(scale_T, floor_T, plane_WK), count_T, coding)
    return SparseUpdate(size, torch.from_numpy(index_K), torch.from_numpy(value_K))


def quantised(update: SparseUpdate, sizes: Sequence[int], coding: Coding) -> SparseUpdate:
    """Exactly what the receiver will read, without writing it: the rest is what error feedback keeps.

    Args and errors: those of `sparse_to_wire`.
    """
    index_K, value_K = _nonzero(update, sizes, coding)
    count_T = _counts(index_K, sizes)
    read_K = read_values(code_values(value_K, count_T, coding), count_T, coding)
    return SparseUpdate(update.size, torch.from_numpy(index_K), torch.from_numpy(read_K))


def _nonzero(update: SparseUpdate, sizes: Sequence[int], coding: Coding) -> tuple[Indices, NDArray[np.float32]]:
    """Indices and values that travel."""
    if sum(sizes) != update.size or not known_coding(coding):
        raise ValueError(f"an update of {update.size} coordinates, tensors of {sum(sizes)}, coding {coding}")
    value_K = update.value_K.numpy()
    at = np.flatnonzero(value_K)
    return update.index_K.numpy()[at], value_K[at]


def _counts(index_K: Indices, sizes: Sequence[int]) -> Indices:
    """Coordinates of each tensor that has any, shape [T]."""
    count_of_each = np.diff(np.searchsorted(index_K, np.cumsum([0, *sizes])))
    return count_of_each[count_of_each > 0]


def _read_support(message: pb.SparseUpdate, size: int) -> Indices:
    """Indices of the coordinates that were sent."""
    kind, count = message.WhichOneof("support"), message.count
    if (kind is None) != (count in (0, size)):
        raise WireError(f"a sparse update of {count} of {size} coordinates with support {kind}")
    if kind is None:
        return np.arange(count)
    if kind == "gaps":
        return read_gaps(message.gaps, count, size)
    index_K = np.flatnonzero(unpack_bits(read_exactly(message.bitmap, bytes_for(size), "a bitmap"), size, "a bitmap"))
    if len(index_K) != count:
        raise WireError(f"a bitmap of {len(index_K)} coordinates where {count} were expected")
    return index_K
