"""Bins of homophily as messages: none of a few nodes, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from concord.wire.homophily import BINS, FEWEST, HOTTEST, homophily_from_wire, homophily_to_wire
from concord.wire.messages import WireError
from concord.wire.v1 import federation_pb2 as pb


@given(st.lists(st.integers(0, 12), min_size=BINS, max_size=BINS), st.integers(0, 2**32 - 1))
def test_there_and_back_without_bins_of_a_few(counts: list[int], seed: int) -> None:
    mean_B2 = torch.rand((BINS, 2), generator=torch.Generator().manual_seed(seed)) + torch.tensor([0.05, 0.0])
    told_B = torch.tensor(counts) >= FEWEST
    message = homophily_to_wire(mean_B2, torch.tensor(counts))
    assert all(one.nodes >= FEWEST for one in message)
    again_B2, again_B = homophily_from_wire(message)
    assert again_B.tolist() == [n if n >= FEWEST else 0 for n in counts]
    assert torch.equal(again_B2, (mean_B2 * told_B[:, None]).double())


def test_what_is_too_hot_is_cut() -> None:
    (one,) = homophily_to_wire(torch.tensor([[1e6, 0.5]]), torch.tensor([9]))
    assert one.temperature == HOTTEST


def good() -> list[pb.HomophilyBin]:
    return [pb.HomophilyBin(bin=b, nodes=5 + b, temperature=0.5, gate=0.25) for b in (0, 3, 9)]


def few_nodes(told: list[pb.HomophilyBin]) -> None:
    told[1].nodes = FEWEST - 1


def no_such_bin(told: list[pb.HomophilyBin]) -> None:
    told[2].bin = BINS


def bin_twice(told: list[pb.HomophilyBin]) -> None:
    told[1].bin = 0


def out_of_order(told: list[pb.HomophilyBin]) -> None:
    told.reverse()


def no_temperature(told: list[pb.HomophilyBin]) -> None:
    told[0].temperature = 0


def too_hot(told: list[pb.HomophilyBin]) -> None:
    told[0].temperature = 101


def temperature_that_is_no_number(told: list[pb.HomophilyBin]) -> None:
    told[0].temperature = math.nan


def endless_gate(told: list[pb.HomophilyBin]) -> None:
    told[0].gate = math.inf


def negative_gate(told: list[pb.HomophilyBin]) -> None:
    told[0].gate = -0.1


def gate_that_is_no_number(told: list[pb.HomophilyBin]) -> None:
    told[0].gate = math.nan


@pytest.mark.parametrize(
    "change",
    [
        *(few_nodes, no_such_bin, bin_twice, out_of_order, no_temperature, too_hot),
        *(temperature_that_is_no_number, endless_gate, negative_gate, gate_that_is_no_number),
    ],
)
def test_what_is_not_as_it_must_be_is_refused(change: Callable[[list[pb.HomophilyBin]], None]) -> None:
    told = good()
    homophily_from_wire(told)
    change(told)
    with pytest.raises(WireError, match="C501"):
        homophily_from_wire(told)


any_float = st.floats(width=32, allow_nan=True, allow_infinity=True)
any_bin = st.builds(
    pb.HomophilyBin, bin=st.integers(0, 11), nodes=st.integers(0, 2**32 - 1), temperature=any_float, gate=any_float
)


@given(st.lists(any_bin, max_size=3))
def test_any_bins_give_counts_and_means_or_a_typed_error(told: list[pb.HomophilyBin]) -> None:
    try:
        mean_B2, count_B = homophily_from_wire(told)
    except WireError:
        return
    assert int(count_B.sum()) == sum(one.nodes for one in told)
    assert bool(((mean_B2 >= 0) & (mean_B2 <= torch.tensor([HOTTEST, 1.0]))).all())
