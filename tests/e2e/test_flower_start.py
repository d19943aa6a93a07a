"""Concord's strategies are Flower strategies: Flower's own loop drives them too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from flwr.app import Error, Message
from tiny_run import ONE_EACH, TRAIN, at, open_tiny

from concord.wire.records import arrays_from_record, to_record
from concord.wire.v1 import federation_pb2 as pb


def test_flowers_own_loop_gives_the_model_of_ours(tmp_path: Path) -> None:
    ours = open_tiny(tmp_path / "ours")
    ours.rounds()
    run = open_tiny(tmp_path / "flower")
    result = run.strategy.start(run.grid, run.strategy.arrays(), num_rounds=2)
    for name, group in ours.strategy.state.groups.items():
        for key, tensor in group.items():
            assert torch.equal(run.strategy.state.groups[name][key], tensor)
    record = to_record(pb.Census())
    record["groups"] = result.arrays
    arrays = arrays_from_record(record)
    for name, group in run.strategy.state.groups.items():
        assert np.array_equal(arrays[name], torch.cat([t.flatten() for t in group.values()]).numpy())
    assert {r: m["replies"] for r, m in result.train_metrics_clientapp.items()} == {1: 3, 2: 3}


@pytest.mark.parametrize("how", ["error", "silence"])
def test_flowers_own_loop_goes_on_without_a_node_that_fails(how: str, tmp_path: Path) -> None:
    def fail(node_id: int, message: Message, reply: Message) -> Message | None:
        if node_id != 2 or not at(TRAIN, 1, message):
            return reply
        if how == "silence":
            return None
        failed = Message(Error(3, "the SuperLink gave up"), reply_to=message)
        failed.metadata.__dict__["_src_node_id"] = 1  # as the SuperLink signs its own errors
        return failed

    run = open_tiny(tmp_path, intercept=fail)
    result = run.strategy.start(run.grid, run.strategy.arrays(), num_rounds=2)
    assert {r: m["replies"] for r, m in result.train_metrics_clientapp.items()} == {1: 2, 2: 3}
    assert {c.node for c in run.strategy.admission.members.values()} == set(ONE_EACH)
