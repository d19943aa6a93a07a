"""What an agent may offer."""

from __future__ import annotations

import pytest

from concord.agreement import offer_problem
from concord.wire.v1 import federation_pb2 as pb


def manifest(group: str, *shape: int, tensor: str = "weight", tensors: int = 1) -> pb.GroupManifest:
    return pb.GroupManifest(group=group, tensors=[pb.TensorSpec(name=tensor, shape=shape)] * tensors)


def test_slices_of_a_model_are_taken() -> None:
    assert offer_problem([manifest("encoder.image", 4, 4), manifest("redundant-head", tensors=3), manifest("empty", 0)]) == ""
    assert offer_problem([]) == ""


@pytest.mark.parametrize(
    ("offered", "problem"),
    [
        ([manifest(f"slice-{number}") for number in range(257)], "257 slices of 257 tensors"),
        ([manifest("trunk", tensors=10_001)], "1 slices of 10001 tensors"),
        ([manifest("trunk", 4), manifest("trunk", 8)], "2 slices, one of them twice"),
        ([manifest("trunk\0x", 4)], "1 slices, one of them twice or by a name that no slice has"),
        ([manifest("trunk", *[1] * 9)], "a tensor of more than 8 dimensions"),
        ([manifest("x" * 257, 4)], "whose name has more than 256 letters"),
        ([manifest("trunk", 4, tensor="x" * 257)], "whose name has more than 256 letters"),
        ([manifest("trunk", 4, tensor="red\x1b[31m")], "or some that cannot be shown"),
    ],
)
def test_what_no_model_has_is_refused(offered: list[pb.GroupManifest], problem: str) -> None:
    assert problem in offer_problem(offered)
