"""Which groups are averaged together, and what a reply says of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_run import ONE_EACH, open_tiny

from concord.functional.sparse import SparseUpdate
from concord.wire.groups import manifest_of, shapes_of
from concord.wire.sparse import sparse_to_wire
from concord.wire.v1 import federation_pb2 as pb
from strategies.checks.reply import Accepted
from strategies.rules import Mean, SparseSign
from strategies.updates import joined, parted, update_of

CURRENT = {"adapter.pen": {"a": torch.zeros(2), "b": torch.zeros(1, 3)}, "head.pen": {"w": torch.ones(4)}}


def claim(name: str, values: dict[int, float], examples: int) -> pb.GroupClaim:
    size = sum(tensor.numel() for tensor in CURRENT[name].values())
    update = SparseUpdate(size, torch.tensor(sorted(values)), torch.tensor([values[i] for i in sorted(values)]))
    wire = sparse_to_wire(update, [t.numel() for t in CURRENT[name].values()], pb.VALUE_CODING_FLOAT32)
    return pb.GroupClaim(manifest=manifest_of(name, shapes_of(CURRENT[name])), examples=examples, sparse=wire)


def reply(*claims: pb.GroupClaim) -> Accepted:
    return Accepted(pb.Census(node="n"), pb.Report(groups=claims), {})


def test_joined_groups_are_parted_again() -> None:
    tensors = joined(CURRENT)
    assert list(tensors) == ["adapter.pen/a", "adapter.pen/b", "head.pen/w"]
    assert {name: list(group) for name, group in parted(tensors).items()} == {"adapter.pen": ["a", "b"], "head.pen": ["w"]}


def test_the_groups_of_a_modality_are_one_update_of_all_their_coordinates() -> None:
    found = update_of(reply(claim("head.pen", {3: 7.0}, 20), claim("adapter.pen", {0: 1.0, 4: -2.0}, 10)), CURRENT)
    assert found is not None
    assert found.sparse is not None
    assert found.examples == 10
    assert (found.sparse.size, found.sparse.index_K.tolist(), found.sparse.value_K.tolist()) == (9, [0, 4, 8], [1.0, -2.0, 7.0])


def test_a_group_that_was_not_sent_stays_as_it_is() -> None:
    found = update_of(reply(claim("head.pen", {3: 7.0}, 20)), CURRENT)
    assert found is not None
    assert found.sparse is not None
    assert found.sparse.dense().tolist() == [0.0] * 8 + [7.0]
    assert update_of(reply(), CURRENT) is None


@pytest.mark.parametrize(("rule", "together"), [("sparse-sign", True), ("mean", False)])
def test_signs_agree_over_all_groups_of_a_modality(rule: str, together: bool, tmp_path: Path) -> None:
    """Node 3 is against the others in the head, and in the adapter alone nobody is: only together do they leave it out."""
    run = open_tiny(tmp_path, {"method": "fedmchain", "aggregation.rule": rule}, ONE_EACH)
    strategy = run.strategy
    assert isinstance(strategy.rule, SparseSign if together else Mean)
    strategy.state.groups = {name: dict(group) for name, group in CURRENT.items()}
    head = [{0: 1.0, 1: 1.0, 2: 1.0}, {0: 1.0, 1: 1.0, 2: 1.0}, {0: -1.0, 1: -1.0, 2: -1.0}]
    replies = [
        replace(reply(claim("adapter.pen", {0: 1.0}, 10), claim("head.pen", values, 10)), census=pb.Census(node=str(n)))
        for n, values in enumerate(head)
    ]
    groups, shares, _ = strategy._average(replies)
    third = pytest.approx(1 / 3)
    assert (
        shares["adapter.pen"]
        == shares["head.pen"]
        == ({"0": 0.5, "1": 0.5, "2": 0.0} if together else {"0": third, "1": third, "2": third})
    )
    assert groups["head.pen"]["w"].tolist() == pytest.approx([2.0, 2.0, 2.0, 1.0] if together else [4 / 3, 4 / 3, 4 / 3, 1.0])
