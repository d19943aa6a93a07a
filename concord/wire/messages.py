"""Protobuf messages and the tensors in them, decoded defensively: any byte string gives a message or a `WireError`.

Legend: C concepts, R rows, D columns.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from typing import TypeVar

import numpy as np
import torch
from google.protobuf.message import DecodeError, Message
from torch import Tensor

from concord.errors import ConcordError
from concord.wire.v1 import federation_pb2 as pb

SCHEMA_VERSION = 1
TOKEN_BYTES = 16  # of the token of a run, which is sent in hex
MOST_EXAMPLES = 1 << 40  # of whatever is counted: sums over all nodes stay whole numbers of 64 bits
MAX_ELEMENTS = 1 << 26  # of one matrix on the wire: 256 MiB of float32

M = TypeVar("M", pb.Census, pb.Instruction, pb.Report, pb.Hello, pb.SliceUpdate, pb.Receipt)


class WireError(ConcordError):
    """C501: bytes that are no valid message of this schema version."""

    def __init__(self, why: str) -> None:
        super().__init__("C501", why, "run the same version of Concord on both sides")


def encode(message: Message) -> bytes:
    """The message as bytes; equal messages give equal bytes."""
    return message.SerializeToString(deterministic=True)


def decode(kind: type[M], data: bytes) -> M:
    """Reads one top-level message.

    Raises:
        WireError: the bytes are no message of that kind, or its schema version is another.
    """
    try:
        message = kind.FromString(data)
    except (DecodeError, UnicodeDecodeError, ValueError) as error:
        raise WireError(f"{len(data)} bytes are no {kind.DESCRIPTOR.name}: {error}") from error
    if message.schema_version != SCHEMA_VERSION:
        raise WireError(f"{kind.DESCRIPTOR.name} of schema version {message.schema_version}, this side speaks {SCHEMA_VERSION}")
    return message


def new_token() -> str:
    """A token for a run that begins. No figure depends on it: it tells runs apart that have the same name and settings."""
    return secrets.token_hex(TOKEN_BYTES)


def token_from_wire(token: str) -> str:
    """The token of a run; WireError unless it is one. A node names a folder after it, and it comes from the network."""
    if not re.fullmatch(f"[0-9a-f]{{{2 * TOKEN_BYTES}}}", token):
        raise WireError("an Instruction without the token of a run")
    return token


def digest_from_wire(digest: str) -> str:
    """A SHA-256 in hex; WireError unless it is one. A node names a file after it, and it comes from the network."""
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise WireError("an Instruction whose base has no SHA-256")
    return digest


def matrix_to_wire(matrix_RD: Tensor) -> pb.Matrix:
    """A float matrix [R, D] as a message."""
    rows, columns = matrix_RD.shape
    return pb.Matrix(rows=rows, columns=columns, values=_floats(matrix_RD))


def matrix_from_wire(message: pb.Matrix) -> Tensor:
    """A finite float32 matrix [R, D]; WireError where the sizes disagree or a value is not finite."""
    if message.rows * message.columns != len(message.values) or len(message.values) > MAX_ELEMENTS:
        raise WireError(f"a matrix of {message.rows} x {message.columns} with {len(message.values)} values")
    return _finite(message.values, "matrix").reshape(message.rows, message.columns)


def gram_to_wire(gram_CC: Tensor, mask_C: Tensor) -> pb.Gram:
    """A symmetric matrix over the concepts in `mask_C` as a message."""
    present_CC = gram_CC[mask_C][:, mask_C]
    row, column = torch.triu_indices(*present_CC.shape)
    bits = np.packbits(mask_C.numpy(), bitorder="little").tobytes()
    return pb.Gram(concepts=len(mask_C), mask=bits, upper=_floats(present_CC[row, column]))


def gram_from_wire(message: pb.Gram, concepts: int) -> tuple[Tensor, Tensor]:
    """The matrix [C, C] (zero outside the mask) and the mask [C]; WireError unless it fits `concepts`."""
    if message.concepts != concepts or len(message.mask) != (concepts + 7) // 8:
        raise WireError(f"a Gram matrix over {message.concepts} concepts where there are {concepts}")
    bits = np.unpackbits(np.frombuffer(message.mask, dtype=np.uint8), bitorder="little")
    mask_C = torch.from_numpy(bits[:concepts].astype(bool))
    present = int(mask_C.sum())
    if len(message.upper) != present * (present + 1) // 2 or bits[concepts:].any():
        raise WireError(f"a Gram matrix with {len(message.upper)} values for {present} concepts")
    row, column = torch.triu_indices(present, present)
    present_CC = torch.zeros(present, present)
    present_CC[row, column] = present_CC[column, row] = _finite(message.upper, "Gram matrix")
    gram_CC = torch.zeros(concepts, concepts)
    gram_CC[mask_C.outer(mask_C)] = present_CC.flatten()
    return gram_CC, mask_C


def prototypes_to_wire(means_CD: Tensor, count_C: Tensor) -> pb.Prototypes:
    """Class means and counts as a message."""
    return pb.Prototypes(means=matrix_to_wire(means_CD), counts=[int(n) for n in count_C.tolist()])


def prototypes_from_wire(message: pb.Prototypes, concepts: int) -> tuple[Tensor, Tensor]:
    """Class means [C, D] and counts [C]; WireError unless they fit `concepts`."""
    means_CD = matrix_from_wire(message.means)
    if len(means_CD) != concepts or len(message.counts) != concepts:
        raise WireError(f"prototypes of {len(means_CD)} classes with {len(message.counts)} counts where there are {concepts}")
    return means_CD, torch.tensor(message.counts, dtype=torch.float64)


def _floats(values: Tensor) -> list[float]:
    return values.detach().to("cpu", torch.float32).flatten().tolist()


def _finite(values: Iterable[float], what: str) -> Tensor:
    tensor = torch.from_numpy(np.fromiter(values, dtype=np.float32))
    if not bool(tensor.isfinite().all()):
        raise WireError(f"a {what} with a value that is not finite")
    return tensor
