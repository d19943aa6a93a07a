"""Groups as one flat array and a manifest."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor

from concord.wire.groups import manifest_of, pack, shapes_from_manifest, shapes_of, unpack
from concord.wire.messages import WireError
from concord.wire.v1 import federation_pb2 as pb

tensors = hnp.arrays(np.float32, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4), elements=st.floats(width=32))
groups = st.dictionaries(st.text(min_size=1, max_size=8), tensors.map(torch.from_numpy), max_size=4)


@given(groups)
def test_groups_round_trip_bit_for_bit_and_in_order(group: dict[str, Tensor]) -> None:
    manifest = manifest_of("trunk", shapes_of(group))
    back = unpack(pack(group), shapes_from_manifest(pb.GroupManifest.FromString(manifest.SerializeToString())))
    assert list(back) == list(group)
    assert all(back[n].shape == t.shape and back[n].numpy().tobytes() == t.numpy().tobytes() for n, t in group.items())


def test_packing_takes_gradients_and_other_types_and_strides() -> None:
    group = {
        "a": torch.arange(6.0, dtype=torch.float64).reshape(2, 3).T.requires_grad_(),
        "b": torch.tensor(7, dtype=torch.int64),
    }
    assert pack(group).tolist() == [0, 3, 1, 4, 2, 5, 7]
    assert pack(group).dtype == np.float32


def test_unpacked_tensors_are_their_own() -> None:
    flat = np.zeros(2, np.float32)
    unpack(flat, {"a": (2,)})["a"].fill_(1)
    assert flat.tolist() == [0, 0]


@pytest.mark.parametrize(
    "flat",
    [
        np.zeros(5, np.float32),
        np.zeros(7, np.float32),
        np.zeros(6, np.float64),
        np.zeros((2, 3), np.float32),
        np.array(0, np.float32),
    ],
    ids=lambda flat: f"{flat.dtype}{flat.shape}",
)
def test_an_array_of_another_size_or_type_is_refused(flat: np.ndarray) -> None:  # type: ignore[type-arg]
    with pytest.raises(WireError, match="6 float32 were expected"):
        unpack(flat, {"a": (2, 2), "b": (2,)})


def test_a_manifest_that_names_a_tensor_twice_is_refused() -> None:
    spec = pb.TensorSpec(name="a", shape=[1])
    with pytest.raises(WireError, match="twice"):
        shapes_from_manifest(pb.GroupManifest(group="trunk", tensors=[spec, spec]))
