"""Tensors in messages: what goes in comes out, and whatever bytes arrive give a message or a WireError."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor

from concord.wire.messages import (
    SCHEMA_VERSION,
    WireError,
    decode,
    digest_from_wire,
    encode,
    gram_from_wire,
    gram_to_wire,
    matrix_from_wire,
    matrix_to_wire,
    new_token,
    prototypes_from_wire,
    prototypes_to_wire,
    token_from_wire,
)
from concord.wire.v1 import federation_pb2 as pb

KINDS = (pb.Census, pb.Instruction, pb.Report, pb.Hello, pb.SliceUpdate, pb.Receipt)
finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
matrices = hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=6), elements=finite).map(
    torch.from_numpy
)


@st.composite
def grams(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """A symmetric matrix and any mask; zero outside the mask."""
    concepts = draw(st.integers(1, 20))
    mask_C = torch.tensor(draw(st.lists(st.booleans(), min_size=concepts, max_size=concepts)))
    values = torch.from_numpy(draw(hnp.arrays(np.float32, (concepts, concepts), elements=finite)))
    symmetric = values.triu() + values.triu(1).T
    return symmetric * mask_C.outer(mask_C), mask_C


@given(matrices)
def test_matrices_round_trip(matrix_RD: Tensor) -> None:
    assert torch.equal(matrix_from_wire(matrix_to_wire(matrix_RD)), matrix_RD)


@given(grams())
def test_grams_of_any_mask_round_trip(pair: tuple[Tensor, Tensor]) -> None:
    gram_CC, mask_C = pair
    message = gram_to_wire(gram_CC, mask_C)
    back_CC, back_C = gram_from_wire(message, len(mask_C))
    assert torch.equal(back_CC, gram_CC)
    assert torch.equal(back_C, mask_C)
    present = int(mask_C.sum())
    assert len(message.upper) == present * (present + 1) // 2
    assert len(message.mask) == math.ceil(len(mask_C) / 8)


def test_what_lies_outside_the_mask_does_not_travel() -> None:
    gram_CC, mask_C = torch.tensor([[1.0, 9.0], [9.0, 9.0]]), torch.tensor([True, False])
    assert list(gram_to_wire(gram_CC, mask_C).upper) == [1.0]


@given(matrices.filter(lambda m: len(m) > 0), st.data())
def test_prototypes_round_trip(means_CD: Tensor, data: st.DataObject) -> None:
    counts = data.draw(st.lists(st.integers(0, 2**53), min_size=len(means_CD), max_size=len(means_CD)))
    means, count_C = prototypes_from_wire(prototypes_to_wire(means_CD, torch.tensor(counts)), len(means_CD))
    assert torch.equal(means, means_CD)
    assert count_C.tolist() == counts


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(WireError, match="not finite"):
        matrix_from_wire(pb.Matrix(rows=1, columns=2, values=[0.0, value]))
    with pytest.raises(WireError, match="not finite"):
        gram_from_wire(pb.Gram(concepts=1, mask=b"\x01", upper=[value]), 1)
    with pytest.raises(WireError, match="not finite"):
        prototypes_from_wire(pb.Prototypes(means=pb.Matrix(rows=1, columns=1, values=[value]), counts=[1]), 1)


@pytest.mark.parametrize(
    "message",
    [
        pb.Matrix(rows=2, columns=2, values=[0.0] * 3),
        pb.Matrix(rows=0, columns=0, values=[0.0]),
        pb.Matrix(rows=2**32 - 1, columns=2**32 - 1, values=[0.0]),
        pb.Matrix(rows=2**31, columns=2, values=[]),
    ],
    ids=str,
)
def test_a_matrix_whose_sizes_disagree_is_refused(message: pb.Matrix) -> None:
    with pytest.raises(WireError, match="matrix of"):
        matrix_from_wire(message)


@pytest.mark.parametrize(
    "message",
    [
        pb.Gram(concepts=3, mask=b"\x07", upper=[0.0] * 6),
        pb.Gram(concepts=2, mask=b"\x03\x00", upper=[0.0] * 3),
        pb.Gram(concepts=2, mask=b"", upper=[0.0] * 3),
        pb.Gram(concepts=2, mask=b"\x03", upper=[0.0] * 4),
        pb.Gram(concepts=2, mask=b"\x07", upper=[0.0] * 3),  # a bit beyond the concepts
        pb.Gram(concepts=2, mask=b"\x01", upper=[0.0] * 3),
    ],
    ids=str,
)
def test_a_gram_whose_sizes_disagree_is_refused(message: pb.Gram) -> None:
    with pytest.raises(WireError, match="Gram matrix"):
        gram_from_wire(message, 2)


@pytest.mark.parametrize("counts", [[1], [1, 2, 3]])
def test_prototypes_whose_sizes_disagree_are_refused(counts: list[int]) -> None:
    with pytest.raises(WireError, match="prototypes of"):
        prototypes_from_wire(pb.Prototypes(means=pb.Matrix(rows=2, columns=1, values=[0.0] * 2), counts=counts), 2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("version", [0, SCHEMA_VERSION + 1, 2**32 - 1])
def test_another_schema_version_is_refused(kind: type[pb.Report], version: int) -> None:
    with pytest.raises(WireError, match=f"schema version {version}, this side speaks {SCHEMA_VERSION}"):
        decode(kind, encode(kind(schema_version=version)))


REPORT = pb.Report(
    schema_version=SCHEMA_VERSION,
    round=3,
    node="image-a",
    anchor_digest="a" * 64,
    groups=[
        pb.GroupClaim(
            manifest=pb.GroupManifest(group="trunk", tensors=[pb.TensorSpec(name="b", shape=[2, 3])]), examples=9, variance=0.5
        )
    ],
    grams=[pb.ModalityGram(modality="image", gram=gram_to_wire(torch.eye(3), torch.tensor([True, False, True])))],
    prototypes=prototypes_to_wire(torch.ones(3, 2), torch.tensor([1, 0, 2])),
    evaluations=[
        pb.Evaluation(
            modality="image",
            split="unseen",
            correct=1,
            examples=2,
            loss_sum=0.5,
            classes=pb.ClassCounts(hits=[1, 0], predicted=[1, 1], actual=[2, 0]),
        )
    ],
    embeddings=[
        pb.Embeddings(
            modality="image",
            split="unseen",
            pooled=matrix_to_wire(torch.ones(2, 2)),
            coordinates=matrix_to_wire(torch.ones(2, 3)),
        )
    ],
    losses={"task": 0.5, "cka": 0.25},
)


def read_everything(report: pb.Report) -> None:
    """Every conversion that a receiver makes."""
    for entry in report.grams:
        gram_from_wire(entry.gram, 3)
    prototypes_from_wire(report.prototypes, 3)
    for embeddings in report.embeddings:
        matrix_from_wire(embeddings.pooled)
        matrix_from_wire(embeddings.coordinates)


@given(st.binary(max_size=200), st.sampled_from(KINDS))
def test_any_bytes_give_a_message_or_a_wire_error(data: bytes, kind: type[pb.Report]) -> None:
    try:
        message = decode(kind, data)
    except WireError:
        return
    assert message.schema_version == SCHEMA_VERSION


@given(st.data())
def test_any_mutation_of_a_report_gives_a_message_or_a_wire_error(data: st.DataObject) -> None:
    mutated = bytearray(encode(REPORT))
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(mutated) - 1))
        how = data.draw(st.sampled_from(["change", "drop", "insert", "cut"]))
        if how == "change":
            mutated[position] = data.draw(st.integers(0, 255))
        elif how == "drop":
            del mutated[position : position + data.draw(st.integers(1, 20))]
        elif how == "insert":
            mutated[position:position] = data.draw(st.binary(max_size=12))
        else:
            del mutated[position:]
        if not mutated:
            break
    try:
        read_everything(decode(pb.Report, bytes(mutated)))
    except WireError:
        return


def test_equal_messages_are_equal_bytes_and_come_back_equal() -> None:
    again = pb.Report()
    again.CopyFrom(REPORT)
    del again.losses["task"]
    again.losses["task"] = 0.5  # another order of insertion
    assert encode(again) == encode(REPORT)
    assert decode(pb.Report, encode(REPORT)) == REPORT


def test_the_token_of_a_run_is_drawn_and_comes_back() -> None:
    token = new_token()
    assert token_from_wire(token) == token
    assert new_token() != token


@pytest.mark.parametrize(
    "token", ["", "0" * 31, "0" * 33, "G" * 32, "A" * 32, "../" + "0" * 29, "/" * 32, "0" * 32 + "\n", "٣" * 32]
)
def test_a_token_that_is_none_names_no_folder(token: str) -> None:
    with pytest.raises(WireError, match="token"):
        token_from_wire(token)


def test_the_digest_of_a_base_comes_back() -> None:
    digest = hashlib.sha256(b"base").hexdigest()
    assert digest_from_wire(digest) == digest


@pytest.mark.parametrize("digest", ["", "0" * 63, "0" * 65, "G" * 64, "A" * 64, "../" + "0" * 61, "/" * 64, "0" * 64 + "\n"])
def test_a_digest_that_is_none_names_no_file(digest: str) -> None:
    with pytest.raises(WireError, match="SHA-256"):
        digest_from_wire(digest)
