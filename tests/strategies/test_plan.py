"""Nobody is asked for what it does not hold; everybody gets groups in its own rank."""

from __future__ import annotations

import torch

from concord.wire.v1 import federation_pb2 as pb
from strategies.plan import HeldGroups, NoGroups
from strategies.rank import at_rank

GROUPS = ["trunk", "tokeniser.image", "tokeniser.word", "head", "head.word"]


def census(*modalities: str) -> pb.Census:
    return pb.Census(holdings=[pb.Holding(modality=modality) for modality in modalities])


def test_a_node_gets_the_shared_groups_and_those_of_its_modalities() -> None:
    plan = HeldGroups()
    assert plan.groups_for(census("image"), GROUPS) == ["trunk", "tokeniser.image", "head"]
    assert plan.groups_for(census("word", "image"), GROUPS) == GROUPS
    assert plan.groups_for(census("tone"), GROUPS) == ["trunk", "head"]


def test_no_groups_travel_where_models_stay_at_home() -> None:
    assert NoGroups().groups_for(census("image"), GROUPS) == []


def test_a_smaller_rank_gets_the_first_components_and_other_tensors_whole() -> None:
    group = {"q.a": torch.arange(6.0).reshape(3, 2), "q.b": torch.arange(12.0).reshape(4, 3), "bias": torch.arange(5.0)}
    cut = at_rank(group, 2)
    assert cut["q.a"].tolist() == [[0, 1], [2, 3]]
    assert cut["q.b"].tolist() == [[0, 1], [3, 4], [6, 7], [9, 10]]
    assert cut["bias"].tolist() == group["bias"].tolist()
    assert all(torch.equal(tensor, group[name]) for name, tensor in at_rank(group, 3).items())
