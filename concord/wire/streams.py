"""Bytes and bits of sparse updates: Huffman-coded byte streams, packed bits, and Golomb-Rice codes of gaps.

Everything is vectorised. Readers take hostile input: nothing is unpacked before its size is known to be within a bound
that the receiver set.

Legend: P coordinates, K of them in the set, R bits of a remainder.
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from concord.wire.messages import WireError
from concord.wire.v1 import federation_pb2 as pb

Bytes = NDArray[np.uint8]
Indices = NDArray[np.int64]

_RAW_DEFLATE = -zlib.MAX_WBITS  # neither header nor checksum: Flower's transport has its own


def write_stream(data: Bytes) -> pb.ByteStream:
    """Bytes as they are or Huffman-coded, whichever is smaller."""
    plain = data.tobytes()
    coder = zlib.compressobj(9, zlib.DEFLATED, _RAW_DEFLATE, 9, zlib.Z_HUFFMAN_ONLY)
    huffman = coder.compress(plain) + coder.flush()
    return pb.ByteStream(huffman=huffman) if len(huffman) < len(plain) else pb.ByteStream(plain=plain)


def read_stream(message: pb.ByteStream, most: int, what: str) -> Bytes:
    """At most `most` bytes of a stream; WireError where there are more, or where it is no stream."""
    is_plain = message.WhichOneof("form") == "plain"
    data = _bounded(message.plain if is_plain else message.huffman, most, what)
    return np.frombuffer(data if is_plain else _bounded(_inflate(data, most, what), most, what), np.uint8)


def read_exactly(message: pb.ByteStream, size: int, what: str) -> Bytes:
    """All `size` bytes of a stream; WireError where there are others."""
    data = read_stream(message, size, what)
    if len(data) != size:
        raise WireError(f"{what} of {len(data)} bytes where {size} were expected")
    return data


def bytes_for(bits: int) -> int:
    """Bytes that hold `bits` bits."""
    return (bits + 7) // 8


def pack_bits(is_set: NDArray[np.bool_]) -> Bytes:
    """Bits in bytes, the least significant first; unused ones are zero."""
    return np.packbits(is_set, bitorder="little")


def unpack_bits(data: Bytes, bits: int, what: str) -> NDArray[np.bool_]:
    """The first `bits` bits; WireError where the bytes are too few or too many, or a later bit is set."""
    if len(data) != bytes_for(bits):
        raise WireError(f"{what} of {len(data)} bytes for {bits} bits")
    unpacked = np.unpackbits(data, bitorder="little").view(np.bool_)
    if unpacked[bits:].any():
        raise WireError(f"{what} with a bit set beyond the last")
    return unpacked[:bits]


def write_gaps(index_K: Indices) -> pb.Gaps:
    """Golomb-Rice code (Rice and Plaunt 1971) of ascending indices, with the best number of remainder bits.

    A gap is the number of coordinates skipped. Its low bits are written as they are and the rest in unary, each in a
    stream of its own, so that both are read without a loop over the gaps.
    """
    gap_K = np.diff(index_K, prepend=-1) - 1
    bits = _best_remainder_bits(gap_K)
    unary = np.zeros(int((gap_K >> bits).sum()) + len(gap_K), np.bool_)
    unary[np.cumsum((gap_K >> bits) + 1) - 1] = True
    remainder_KR = (gap_K[:, None] >> np.arange(bits)) & 1
    return pb.Gaps(
        remainder_bits=bits,
        quotients=write_stream(pack_bits(unary)),
        remainders=pack_bits(remainder_KR.astype(np.bool_).ravel()).tobytes(),
    )


def read_gaps(message: pb.Gaps, count: int, size: int) -> Indices:
    """The `count` > 0 ascending indices below `size` that a Golomb-Rice code stands for; WireError where it stands for others.

    A code of more bits than the coordinates have is refused unread: a sender would have sent a bitmap.
    """
    bits = message.remainder_bits
    unary_bits = size - count * bits
    if unary_bits < count or bits > size.bit_length():
        raise WireError(f"{count} gaps with remainders of {bits} bits among {size} coordinates")
    packed = read_stream(message.quotients, bytes_for(unary_bits), "gaps")
    one_K = np.flatnonzero(np.unpackbits(packed, bitorder="little").view(np.bool_))
    if len(one_K) != count or len(packed) != bytes_for(int(one_K[-1]) + 1):
        raise WireError(f"{len(one_K)} gaps in {len(packed)} bytes where {count} were expected")
    remainders = np.frombuffer(message.remainders, np.uint8)
    remainder_KR = unpack_bits(remainders, count * bits, "remainders of gaps").reshape(count, bits)
    gap_K = (np.diff(one_K, prepend=-1) - 1) << bits
    for place in range(bits):
        gap_K |= remainder_KR[:, place].astype(np.int64) << place
    index_K: Indices = np.cumsum(gap_K + 1) - 1
    if index_K[-1] >= size:
        raise WireError(f"coordinate {index_K[-1]} of {size}")
    return index_K


def _best_remainder_bits(gap_K: Indices) -> int:
    """The number of remainder bits with the shortest code: the first local minimum, for the length is convex in it."""
    bits, length = 0, int(gap_K.sum())  # without the ones that end the quotients: they are as many for all
    while (longer := len(gap_K) * (bits + 1) + int((gap_K >> (bits + 1)).sum())) < length:
        bits, length = bits + 1, longer
    return bits


def _bounded(data: bytes, most: int, what: str) -> bytes:
    if len(data) > most:
        raise WireError(f"{what} of more than the {most} bytes that there can be")
    return data


def _inflate(data: bytes, most: int, what: str) -> bytes:
    """At most one byte more than `most`, whatever the stream expands to."""
    decoder = zlib.decompressobj(_RAW_DEFLATE)
    try:
        inflated = decoder.decompress(data, most + 1)
    except zlib.error as error:
        raise WireError(f"{what} that cannot be decompressed: {error}") from error
    if len(inflated) <= most and (not decoder.eof or decoder.unused_data):
        raise WireError(f"{what} in a compressed stream that ends too early or too late")
    return inflated
