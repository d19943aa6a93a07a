"""The gap that DoRA's renormalisation leaves between averaging updates and averaging weights."""

from __future__ import annotations

import pytest
import torch

from concord.config import parse_config
from concord.wire.v1 import federation_pb2 as pb
from server_app.diagnostics import AdaptedLayer, adapted_layers, mean_direction_gap
from strategies.checks.reply import Accepted


def accepted(node: str, b_OR: torch.Tensor) -> Accepted:
    return Accepted(pb.Census(node=node), pb.Report(node=node), {"trunk": {"layer.b": b_OR}})


def test_two_nodes_by_hand() -> None:
    # One output, two inputs: W0 = (1, 0), A = (0, 1). With B = +1 and -1 the directions are (1, +-1) / sqrt(2), their
    # mean is (1/sqrt 2, 0); the mean of B is 0, its direction (1, 0). Gap: 1 - 1/sqrt 2.
    layers = {"layer": AdaptedLayer(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]))}
    replies = [accepted("a", torch.tensor([[1.0]])), accepted("b", torch.tensor([[-1.0]]))]
    assert mean_direction_gap(layers, replies, {"trunk": {"a": 0.5, "b": 0.5}}, 1.0) == pytest.approx(1 - 2**-0.5)


def test_nodes_that_agree_leave_no_gap() -> None:
    layers = {"layer": AdaptedLayer(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]))}
    replies = [accepted("a", torch.tensor([[0.3]])), accepted("b", torch.tensor([[0.3]]))]
    assert mean_direction_gap(layers, replies, {"trunk": {"a": 0.5, "b": 0.5}}, 2.0) == pytest.approx(0, abs=1e-6)


def test_nothing_to_measure() -> None:
    assert mean_direction_gap({}, [], {}, 1.0) is None
    assert adapted_layers(parse_config({"adapter.kind": "lora"}), None) == {}


def test_layers_of_the_tiny_trunk() -> None:
    layers = adapted_layers(parse_config({"adapter.rank": 4}), None)
    assert {tuple(layer.a_RI.shape) for layer in layers.values()} == {(4, 64)}
    assert len(layers) == 2  # query and value of one layer
