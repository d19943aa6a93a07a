"""Moments of anchors as messages: what float16 keeps, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from changed_bytes import changed_bytes
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from concord.wire.messages import WireError, encode
from concord.wire.moments import moments_from_wire, moments_to_wire
from concord.wire.v1 import federation_pb2 as pb


@given(st.integers(1, 20), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_there_and_back(anchors: int, width: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    mass_K = torch.rand(anchors, generator=generator) * (torch.rand(anchors, generator=generator) < 0.7)
    mean_KD = torch.randn((anchors, width), generator=generator) * (mass_K > 0)[:, None]
    message = moments_to_wire(mean_KD, mass_K)
    again_KD, again_K = moments_from_wire(message, anchors, width)
    assert torch.equal(again_K, mass_K)
    torch.testing.assert_close(again_KD, mean_KD.half().float())
    assert len(message.means) == 2 * width * int((mass_K > 0).sum())


def test_what_float16_cannot_hold_is_cut() -> None:
    mean_KD, _ = moments_from_wire(moments_to_wire(torch.tensor([[1e6, -1e6]]), torch.ones(1)), 1, 2)
    assert mean_KD.tolist() == [[65504.0, -65504.0]]


def good() -> pb.AnchorMoments:
    return moments_to_wire(torch.ones(3, 2), torch.tensor([1.0, 0.0, 2.0]))


def other_anchors(message: pb.AnchorMoments) -> None:
    message.anchors = 4


def other_width(message: pb.AnchorMoments) -> None:
    message.width = 3


def long_mask(message: pb.AnchorMoments) -> None:
    message.mask += b"\0"


def mask_beyond(message: pb.AnchorMoments) -> None:
    message.mask = bytes([0b1101])


def cut_means(message: pb.AnchorMoments) -> None:
    message.means = message.means[:-1]


def fewer_masses(message: pb.AnchorMoments) -> None:
    message.masses.pop()


def endless_mean(message: pb.AnchorMoments) -> None:
    message.means = np.array([math.inf] + [0] * 3, "<f2").tobytes()


def no_mass(message: pb.AnchorMoments) -> None:
    message.masses[0] = 0


def negative_mass(message: pb.AnchorMoments) -> None:
    message.masses[0] = -1


def mass_that_is_no_number(message: pb.AnchorMoments) -> None:
    message.masses[1] = math.nan


@pytest.mark.parametrize(
    "change",
    [
        *(other_anchors, other_width, long_mask, mask_beyond, cut_means, fewer_masses),
        *(endless_mean, no_mass, negative_mass, mass_that_is_no_number),
    ],
)
def test_what_is_not_as_it_must_be_is_refused(change: Callable[[pb.AnchorMoments], None]) -> None:
    message = good()
    moments_from_wire(message, 3, 2)
    change(message)
    with pytest.raises(WireError, match="C501"):
        moments_from_wire(message, 3, 2)


@given(st.data())
def test_any_changed_bytes_give_moments_or_a_typed_error(data: st.DataObject) -> None:
    try:
        message = pb.AnchorMoments.FromString(changed_bytes(data, encode(good()), 3))
    except DecodeError:
        return
    try:
        mean_KD, mass_K = moments_from_wire(message, 3, 2)
    except WireError:
        return
    assert mean_KD.shape == (3, 2)
    assert bool(mean_KD.isfinite().all())
    assert bool((mass_K >= 0).all())
