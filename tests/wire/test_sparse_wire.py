"""Sparse updates as messages: what goes in comes out as `quantised` says, and hostile bytes give a WireError."""

from __future__ import annotations

import math
import tracemalloc
import zlib
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from benchmarks.sparse_wire import measured
from concord.functional.sparse import SparseUpdate, top_k
from concord.wire.messages import SCHEMA_VERSION, WireError, decode, encode
from concord.wire.sparse import quantised, sparse_from_wire, sparse_to_wire
from concord.wire.v1 import federation_pb2 as pb
from tests.random_matrices import normal

FLOAT32, FLOAT16, INT8, SIGN = CODINGS = (
    pb.VALUE_CODING_FLOAT32,
    pb.VALUE_CODING_FLOAT16,
    pb.VALUE_CODING_INT8,
    pb.VALUE_CODING_SIGN,
)
every_coding = pytest.mark.parametrize("coding", CODINGS, ids=pb.ValueCoding.Name)
SIZES = [30, 0, 1, 33]


@st.composite
def updates(draw: st.DrawFn) -> tuple[SparseUpdate, list[int]]:
    """Any finite values at any coordinates of a few tensors; most of them clustered or most absent."""
    sizes = draw(st.lists(st.integers(0, 60), max_size=4))
    size = sum(sizes)
    index = sorted(draw(st.sets(st.integers(0, max(size - 1, 0)), max_size=size))) if size else []
    if draw(st.booleans()):
        index = [c for c in range(size) if c not in index]
    values = draw(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=len(index), max_size=len(index)))
    return SparseUpdate(size, torch.tensor(index, dtype=torch.int64), torch.tensor(values, dtype=torch.float32)), sizes


def same(one: SparseUpdate, other: SparseUpdate) -> bool:
    return one.size == other.size and torch.equal(one.index_K, other.index_K) and torch.equal(one.value_K, other.value_K)


def sent(density: float, size: int = 20_000, coding: pb.ValueCoding.ValueType = FLOAT32) -> tuple[SparseUpdate, pb.SparseUpdate]:
    update = top_k(normal(size, seed=3), [size], density)
    return update, sparse_to_wire(update, [size], coding)


def of_gaussian_tensors() -> SparseUpdate:
    return top_k(normal(sum(SIZES), seed=5), SIZES, 0.3)


@every_coding
@given(updates())
def test_what_comes_out_is_what_quantised_says(coding: pb.ValueCoding.ValueType, pair: tuple[SparseUpdate, list[int]]) -> None:
    update, sizes = pair
    message = pb.SparseUpdate.FromString(encode(sparse_to_wire(update, sizes, coding)))
    back = sparse_from_wire(message, sizes)
    assert same(back, quantised(update, sizes, coding))
    assert back.value_K.isfinite().all()
    assert torch.equal(back.index_K, update.index_K[update.value_K != 0])


@given(updates())
def test_float32_loses_nothing(pair: tuple[SparseUpdate, list[int]]) -> None:
    update, sizes = pair
    assert torch.equal(quantised(update, sizes, FLOAT32).value_K, update.value_K[update.value_K != 0])


@given(updates())
def test_float16_is_numpys_at_a_scale_of_the_tensor_and_loses_nothing_twice(pair: tuple[SparseUpdate, list[int]]) -> None:
    update, sizes = pair
    once = quantised(update, sizes, FLOAT16)
    assert torch.equal(quantised(once, sizes, FLOAT16).dense(), once.dense())
    for whole, read in zip(update.dense().split(sizes), once.dense().split(sizes), strict=True):
        largest = whole.abs().max().item() if len(whole) else 0.0
        assert ((read.double() - whole.double()).abs() <= whole.double().abs() * 2**-10 + largest * 2**-24).all()


@given(updates())
def test_int8_is_within_half_a_step(pair: tuple[SparseUpdate, list[int]]) -> None:
    update, sizes = pair
    read_P = quantised(update, sizes, INT8).dense()
    for whole, read in zip(update.dense().split(sizes), read_P.split(sizes), strict=True):
        known = whole != 0
        assert torch.equal(read.sign(), whole.sign())
        if known.any():
            magnitude, back = whole[known].double().abs(), read[known].double().abs()
            floor, span = magnitude.min(), magnitude.max() - magnitude.min()
            root, half = ((magnitude - floor) / span.clamp(min=1e-300)).sqrt(), 0.5001 / 127
            step = span * ((root + half) ** 2 - root**2)
            assert ((back - magnitude).abs() <= step + magnitude * 2**-22).all()


def test_signs_carry_the_mean_magnitude_of_their_tensor() -> None:
    update = top_k(torch.tensor([1.0, -3.0, 0.0, 10.0]), [3, 1], 1.0)
    assert quantised(update, [3, 1], SIGN).dense().tolist() == [2.0, -2.0, 0.0, 10.0]


@every_coding
def test_sign_flips_pass_through(coding: pb.ValueCoding.ValueType) -> None:
    update = of_gaussian_tensors()
    flipped = SparseUpdate(update.size, update.index_K, -update.value_K)
    assert torch.equal(quantised(flipped, SIZES, coding).value_K, -quantised(update, SIZES, coding).value_K)


@pytest.mark.parametrize(("density", "support"), [(0.001, "gaps"), (0.05, "gaps"), (0.3, "gaps"), (0.5, "bitmap"), (1.0, None)])
def test_the_support_is_written_in_the_smallest_way(density: float, support: str | None) -> None:
    update, message = sent(density)
    assert message.WhichOneof("support") == support
    assert same(sparse_from_wire(message, [update.size]), update)


@every_coding
@pytest.mark.parametrize("density", [0.001, 0.01, 0.1, 0.3, 0.7, 1.0])
def test_bits_are_within_ten_percent_of_the_entropy(density: float, coding: pb.ValueCoding.ValueType) -> None:
    row = measured(1 << (20 if density == 0.001 else 17), density, coding)
    assert row.bits <= 1.1 * row.entropy


def test_sizes_that_do_not_fit_are_the_callers_mistake() -> None:
    for function in (sparse_to_wire, quantised):
        with pytest.raises(ValueError, match="64 coordinates, tensors of 63"):
            function(of_gaussian_tensors(), [30, 33], FLOAT32)
        with pytest.raises(ValueError, match="coding 0"):
            function(of_gaussian_tensors(), SIZES, pb.VALUE_CODING_UNSPECIFIED)


def zeros_compressed(size: int) -> bytes:
    coder = zlib.compressobj(9, zlib.DEFLATED, -15)
    return coder.compress(bytes(size)) + coder.flush()


def plain(data: bytes) -> pb.ByteStream:
    return pb.ByteStream(plain=data)


def signs(**fields: object) -> pb.SparseUpdate:
    """Three coordinates of eight in SIGN, with some fields replaced."""
    whole: dict[str, object] = {"coding": SIGN, "count": 3, "bitmap": plain(b"\x0b"), "scales": [1.0], "planes": [plain(b"\x02")]}
    if "gaps" in fields:
        del whole["bitmap"]
    return pb.SparseUpdate(**(whole | fields))  # type: ignore[arg-type]


def gaps(bits: int, quotients: bytes, remainders: bytes) -> pb.Gaps:
    return pb.Gaps(remainder_bits=bits, quotients=plain(quotients), remainders=remainders)


def test_the_message_that_is_spoilt_below_is_valid() -> None:
    for message in (signs(), signs(gaps=gaps(1, b"\x07", b"\x04")), signs(gaps=gaps(0, b"\x0b", b""))):
        update = sparse_from_wire(message, [8])
        assert (update.index_K.tolist(), update.value_K.tolist()) == ([0, 1, 3], [1.0, -1.0, 1.0])


@pytest.mark.parametrize(
    "message",
    [
        pb.SparseUpdate(),
        signs(coding=0),
        signs(coding=77),
        signs(coding=-1),
        signs(count=2),
        signs(count=4),
        signs(count=0),
        signs(count=8),
        signs(count=9),
        signs(count=2**64 - 1),
        signs(bitmap=None),
        signs(bitmap=plain(b"")),
        signs(bitmap=plain(b"\x0b\x00")),
        signs(bitmap=pb.ByteStream()),
        signs(bitmap=pb.ByteStream(huffman=b"\x0b")),
        signs(bitmap=pb.ByteStream(huffman=zeros_compressed(1))),
        signs(bitmap=pb.ByteStream(huffman=zeros_compressed(2))),
        signs(scales=[]),
        signs(scales=[1.0, 1.0]),
        signs(scales=[0.0]),
        signs(scales=[-1.0]),
        signs(scales=[math.inf]),
        signs(scales=[math.nan]),
        signs(floors=[1.0]),
        signs(planes=[]),
        signs(planes=[plain(b"\x02")] * 2),
        signs(planes=[plain(b"")]),
        signs(planes=[plain(b"\x02\x00")]),
        signs(planes=[plain(b"\x0a")]),  # a fourth sign
        signs(planes=[pb.ByteStream(huffman=zeros_compressed(1) + b"more")]),
        signs(planes=[pb.ByteStream(huffman=zeros_compressed(1)[:-1])]),
        signs(gaps=pb.Gaps()),
        signs(gaps=gaps(0, b"", b"")),
        signs(gaps=gaps(0, b"\x07", b"\x00")),
        signs(gaps=gaps(0, b"\x0f", b"")),  # four ones
        signs(gaps=gaps(0, b"\x03", b"")),  # two
        signs(gaps=gaps(0, b"\x07\x00", b"")),
        signs(gaps=gaps(0, b"\x00\x07", b"")),  # coordinate 8 of 8
        signs(gaps=gaps(1, b"\x07", b"\x0c")),  # a fourth remainder
        signs(gaps=gaps(1, b"\x07", b"")),
        signs(gaps=gaps(1, b"\x1a", b"\x07")),  # coordinate 9 of 8
        signs(gaps=gaps(2, b"\x07", b"\xff\x01")),  # more bits than a bitmap
        signs(gaps=gaps(2**32 - 1, b"\x07", b"")),
        pb.SparseUpdate(coding=SIGN, count=1, gaps=gaps(6, b"\x01", b"\x01"), scales=[1.0], planes=[plain(b"\x00")]),
        pb.SparseUpdate(coding=INT8, count=8, scales=[1.0], floors=[math.nan], planes=[plain(bytes(8))]),
        pb.SparseUpdate(coding=INT8, count=8, scales=[1.0], planes=[plain(bytes(8))]),
        pb.SparseUpdate(coding=FLOAT16, count=8, scales=[1.0], planes=[plain(b"\xff" * 8)] * 2),
        pb.SparseUpdate(coding=FLOAT32, count=8, planes=[plain(b"\xff" * 8)] * 4),
    ],
    ids=lambda message: " ".join(str(message).split()),
)
def test_spoilt_messages_are_refused(message: pb.SparseUpdate) -> None:
    with pytest.raises(WireError):
        sparse_from_wire(message, [8])


def test_a_hostile_scale_gives_the_largest_float_not_infinity() -> None:
    largest = float(np.finfo(np.float32).max)
    message = pb.SparseUpdate(coding=FLOAT16, count=1, scales=[largest], planes=[plain(b"\xff"), plain(b"\x7b")])
    assert sparse_from_wire(message, [1]).value_K.tolist() == [largest]


def reads(spoil: Callable[[pb.SparseUpdate], None], density: float, coding: pb.ValueCoding.ValueType) -> int:
    """Most memory in use while a spoilt message of a group of 4096 coordinates is refused."""
    message = sent(density, 4096, coding)[1]
    spoil(message)
    tracemalloc.start()
    try:
        with pytest.raises(WireError):
            sparse_from_wire(message, [4096])
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


BOMB = zeros_compressed(1 << 28)


@pytest.mark.parametrize(
    ("spoil", "density"),
    [
        (lambda m: m.bitmap.MergeFrom(pb.ByteStream(huffman=BOMB)), 0.5),
        (lambda m: m.gaps.quotients.MergeFrom(pb.ByteStream(huffman=BOMB)), 0.1),
        (lambda m: m.planes[0].MergeFrom(pb.ByteStream(huffman=BOMB)), 0.1),
        (lambda m: setattr(m, "count", 2**63), 0.1),
        (lambda m: setattr(m, "count", 4096), 0.1),
        (lambda m: setattr(m.gaps, "remainder_bits", 2**31), 0.1),
        (lambda m: m.scales.extend([1.0] * 100_000), 0.1),
    ],
    ids=["bitmap", "gaps", "plane", "huge count", "count", "remainders", "scales"],
)
@every_coding
def test_bombs_and_claims_take_no_memory(
    coding: pb.ValueCoding.ValueType, spoil: Callable[[pb.SparseUpdate], None], density: float
) -> None:
    assert reads(spoil, density, coding) < 64 * 4096 + len(BOMB)


@every_coding
@given(st.data())
def test_any_mutation_of_a_report_gives_an_update_or_a_wire_error(coding: pb.ValueCoding.ValueType, data: st.DataObject) -> None:
    claim = pb.GroupClaim(sparse=sparse_to_wire(of_gaussian_tensors(), SIZES, coding), examples=3)
    mutated = bytearray(encode(pb.Report(schema_version=SCHEMA_VERSION, groups=[claim])))
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(mutated) - 1))
        how = data.draw(st.sampled_from(["change", "change", "drop", "insert", "cut"]))
        if how == "change":
            mutated[position] = data.draw(st.integers(0, 255))
        elif how == "drop":
            del mutated[position : position + data.draw(st.integers(1, 5))]
        elif how == "insert":
            mutated[position:position] = data.draw(st.binary(max_size=5))
        else:
            del mutated[position:]
        if not mutated:
            break
    try:
        for group in decode(pb.Report, bytes(mutated)).groups:
            assert_valid(sparse_from_wire(group.sparse, SIZES))
    except WireError:
        return


@given(st.binary(max_size=60), st.binary(max_size=60), st.integers(0, 10), st.integers(0, 64), st.sampled_from(CODINGS))
def test_any_streams_give_an_update_or_a_wire_error(
    one: bytes, other: bytes, bits: int, count: int, coding: pb.ValueCoding.ValueType
) -> None:
    width = {FLOAT32: 4, FLOAT16: 2, INT8: 1, SIGN: 1}[coding]
    length = (count + 7) // 8 if coding == SIGN else count
    for support in ({"gaps": gaps(bits, one, other)}, {"bitmap": plain(one)}, {"gaps": gaps(0, one, b"")}):
        message = pb.SparseUpdate(coding=coding, count=count, planes=[plain(bytes(length))] * width, **support)  # type: ignore[arg-type]
        message.scales.extend([1.0] * (3 * (coding != FLOAT32)))
        message.floors.extend([1.0] * (3 * (coding == INT8)))
        try:
            assert_valid(sparse_from_wire(message, SIZES))
        except WireError:
            continue


def assert_valid(update: SparseUpdate) -> None:
    index_K: Tensor = update.index_K
    assert update.size == sum(SIZES)
    assert len(index_K) == len(update.value_K)
    assert (index_K.diff() > 0).all()
    assert ((index_K >= 0) & (index_K < update.size)).all()
    assert update.value_K.isfinite().all()
