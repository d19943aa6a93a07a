"""Class means on the wire: there and back, and hostile ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from changed_bytes import changed_bytes
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from concord.wire.class_means import MOST_VALUES, class_means_from_wire, class_means_to_wire
from concord.wire.messages import WireError
from concord.wire.v1 import federation_pb2 as pb


def message() -> pb.ClassMeans:
    return class_means_to_wire(
        "text", torch.tensor([[1.0, 0.0, -2.0], [0.0, 0.0, 0.0], [0.5, 0.25, 0.0]]), torch.tensor([3, 0, 1])
    )


def test_means_come_back_within_the_precision_of_eight_bits() -> None:
    torch.manual_seed(0)
    mean_CF, count_C = torch.rand(4, 500), torch.tensor([1, 2, 3, 4])
    again_CF, again_C = class_means_from_wire(class_means_to_wire("text", mean_CF, count_C), 4)
    assert torch.equal(again_C, count_C)
    assert (again_CF - mean_CF).abs().max() < 0.01
    assert class_means_to_wire("text", mean_CF, count_C).ByteSize() < 4 * 500 * 1.1


def test_zeros_stay_zeros_and_classes_without_nodes_have_no_mean() -> None:
    mean_CF, count_C = class_means_from_wire(message(), 3)
    assert torch.equal(mean_CF == 0, torch.tensor([[False, True, False], [True, True, True], [False, False, True]]))
    assert count_C.tolist() == [3, 0, 1]
    invented = message()
    invented.counts[0] = 0
    assert not class_means_from_wire(invented, 3)[0][0].any()


def other_classes(told: pb.ClassMeans) -> None:
    told.counts.append(1)


def too_many_features(told: pb.ClassMeans) -> None:
    told.features = MOST_VALUES


def other_features(told: pb.ClassMeans) -> None:
    told.features = 2


def cut_short(told: pb.ClassMeans) -> None:
    told.means.planes[0].plain = b""


@pytest.mark.parametrize("change", [other_classes, too_many_features, other_features, cut_short])
def test_what_does_not_fit_is_refused(change: Callable[[pb.ClassMeans], None]) -> None:
    told = message()
    change(told)
    with pytest.raises(WireError):
        class_means_from_wire(told, 3)


@given(st.data())
def test_any_changed_bytes_give_means_or_a_typed_error(data: st.DataObject) -> None:
    try:
        told = pb.ClassMeans.FromString(changed_bytes(data, message().SerializeToString(), 4))
    except DecodeError:
        return
    try:
        mean_CF, _ = class_means_from_wire(told, 3)
    except WireError:
        return
    assert mean_CF.isfinite().all()
