"""Attacks change what nodes send, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from flwr.app import Message
from tiny_run import Settings, open_tiny, report_of, tiny_config

from benchmarks.attacks import ABSENT, ATTACKS, attack, attackers, changes
from server_app.in_process import Intercept

NODES = ("image-forms-a", "tone-north", "tone-south", "image-forms-b", "image-forms-c")  # they answer by name


@pytest.mark.parametrize("settings", [{"method": "fedavg"}, {"method": "fedmchain", "update.values": "float32"}], ids=str)
@pytest.mark.parametrize("kind", [kind for kind in ATTACKS if kind != ABSENT])
def test_the_fifth_node_sends_something_else(kind: str, settings: Settings, tmp_path: Path) -> None:
    sent: dict[int, dict[str, np.ndarray]] = {}
    received: dict[int, dict[str, np.ndarray]] = {}

    def watch(inner: Intercept) -> Intercept:
        def intercept(node_id: int, message: Message, reply: Message) -> Message | None:
            if not message.metadata.message_type.startswith("train"):
                return reply
            sent[node_id] = changes(message, reply)
            passed = inner(node_id, message, reply)
            assert passed is not None
            assert report_of(passed).node == report_of(reply).node
            received[node_id] = changes(message, passed)
            return passed

        return intercept

    settings = {**settings, "rounds": 1, "adapter.scope": "modality"}
    open_tiny(tmp_path, settings, NODES, watch(attack(kind, tiny_config(tmp_path, settings), len(NODES)))).rounds()
    (hostile,) = attackers(len(NODES), 0)
    assert NODES[hostile - 1] == "image-forms-b", "the second to answer, and not the first of its modality"
    for node_id, groups in sent.items():
        for group, change in groups.items():
            expected = change
            if node_id == hostile:
                expected = {"sign-flip": -change, "large-norm": 10 * change, "mimicry": sent[1][group]}[kind]
            np.testing.assert_allclose(received[node_id][group], expected, rtol=1e-3, atol=1e-5)
            assert change.any()


def test_of_the_absent_nothing_counts(tmp_path: Path) -> None:
    settings: Settings = {"method": "fedavg", "rounds": 1}
    inner = attack(ABSENT, tiny_config(tmp_path, settings), len(NODES))
    result = open_tiny(tmp_path, settings, NODES, inner).rounds()
    assert [(r.node, r.reason) for r in result.rejections] == [("image-forms-b", "node-error")]
    assert set(result.node_accuracy) == set(NODES), "all are measured in the end"
