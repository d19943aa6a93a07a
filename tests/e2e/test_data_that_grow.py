"""A member that has other data by now than it said takes the census again, and takes part again when it has answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from flwr.app import Error, Message
from tiny_run import CENSUS, ONE_EACH, TRAIN, Attack, SlowToAnswer, at, edited_census, lines, run_tiny, tiny_config

from client_app import app as app_module
from client_app.data.graph import NodeGraph
from client_app.data.node_data import NodeData
from concord.anchors import AnchorSet
from concord.config import RunConfig
from concord.wire.v1 import federation_pb2 as pb
from server_app.in_process import Intercept
from server_app.run import Run, open_run
from strategies import admission

GROWING, NAME = 2, ONE_EACH[1]


def as_it_is(question: Message, reply: Message) -> Message:
    return reply


def fewer_samples(question: Message, reply: Message) -> Message:
    def change(census: pb.Census) -> None:
        census.holdings[0].examples -= 1
        census.holdings[0].labelled = min(census.holdings[0].labelled, census.holdings[0].examples)

    return edited_census(reply, change)


def renamed(question: Message, reply: Message) -> Message:
    return edited_census(reply, lambda census: setattr(census, "node", "tone-south"))


def broken(question: Message, reply: Message) -> Message:
    return Message(Error(1, "MemoryError"), reply_to=question)


def silent(question: Message, reply: Message) -> None:
    return None


def answers(*in_turn: Attack) -> tuple[Intercept, list[int]]:
    """Answers of the node to one census after the other, honest ones at last; and a list that grows with each."""
    asked: list[int] = []

    def intercept(node_id: int, message: Message, reply: Message) -> Message | None:
        if node_id != GROWING or message.metadata.message_type != CENSUS:
            return reply
        asked.append(node_id)
        return in_turn[len(asked) - 1](message, reply) if len(asked) <= len(in_turn) else reply

    return intercept, asked


def replies(folder: Path) -> list[int]:
    return [line["replies"] for line in lines(folder, "round")]


def test_it_counts_again_in_the_next_round(tmp_path: Path) -> None:
    intercept, asked = answers(fewer_samples)
    result = run_tiny(tmp_path, {"rounds": 3}, intercept=intercept)
    assert [(r.round, r.node, r.reason) for r in result.rejections] == [(1, NAME, "claimed-examples")]
    assert (len(asked), replies(tmp_path)) == (2, [2, 3, 3, 3])
    assert {node.name for node in result.nodes} == set(ONE_EACH)


def test_what_it_has_when_the_last_round_is_over_is_evaluated(tmp_path: Path) -> None:
    intercept, _ = answers(fewer_samples)
    result = run_tiny(tmp_path, {"rounds": 1}, intercept=intercept)
    assert replies(tmp_path) == [2, 3]
    assert NAME in result.node_accuracy


def test_a_modality_that_comes_to_it_is_learnt_like_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deal, rounds = app_module._dealt_data, [0]

    def dealt(config: RunConfig, name: str, partition: int) -> tuple[NodeData | NodeGraph, AnchorSet]:
        node, anchors = deal(config, name, partition)
        if name != NAME or rounds[-1] == 0:
            return node, anchors
        more = deal(config, "tone-north", 0)[0]
        assert isinstance(node, NodeData)
        assert isinstance(more, NodeData)
        return replace(
            node, train={**node.train, **more.train}, tests={s: {**of, **more.tests[s]} for s, of in node.tests.items()}
        ), anchors

    def count(node_id: int, message: Message, reply: Message) -> Message:
        if at(TRAIN, 1, message) and node_id == GROWING:
            rounds.append(1)
        return reply

    monkeypatch.setattr(app_module, "_dealt_data", dealt)
    result = run_tiny(tmp_path, {"rounds": 4, "model.head": "local"}, intercept=count)
    assert [(r.round, r.node, r.reason) for r in result.rejections] == [(2, NAME, "unknown-modality")]
    assert replies(tmp_path) == [3, 2, 3, 3, 3]
    assert {node.name: set(node.modalities) for node in result.nodes}[NAME] == {"word", "tone"}
    assert set(result.node_accuracy[NAME]["random"]) >= {"word", "tone"}
    assert set(result.weights["tokeniser.tone"]) == {NAME, "tone-north"}


@pytest.mark.parametrize(("answer", "reason"), [(renamed, "other-node"), (broken, "node-error"), (silent, "no-reply")])
def test_it_is_left_out_until_it_has_answered_as_the_node_that_it_was(answer: Attack, reason: str, tmp_path: Path) -> None:
    intercept, asked = answers(fewer_samples, answer)
    result = run_tiny(tmp_path, {"rounds": 4, "round-timeout": 0.2}, intercept=intercept)
    told = [(r.node, r.reason) for r in result.rejections]
    assert told == [(NAME, "claimed-examples"), (NAME, reason)]
    assert (len(asked), replies(tmp_path)) == (3, [2, 2, 3, 3, 3])
    assert {node.name for node in result.nodes} == set(ONE_EACH)


def slow(folder: Path, names: Sequence[str], timeout: float) -> tuple[Run, SlowToAnswer]:
    """A run after its first round, in which the node has told of more than it had; its new answer is kept back."""
    config = tiny_config(folder, {"rounds": 5, "round-timeout": timeout})
    grid = SlowToAnswer(config, names, answers(fewer_samples)[0])
    grid.present, grid.let_go = [1, 2, 3], True
    run = open_run(config, grid)
    run.wait_for_nodes()
    grid.let_go = False
    run.train_round(1)
    return run, grid


def test_the_others_wait_for_each_answer_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    wait = admission.Exchange.wait
    monkeypatch.setattr(admission.Exchange, "wait", lambda self, seconds: waited.append(seconds) or wait(self, seconds))
    run_tiny(tmp_path, {"rounds": 3}, intercept=answers(fewer_samples, fewer_samples)[0])
    assert replies(tmp_path) == [2, 2, 3, 3]
    assert waited.count(admission.NEW_NODE_SECONDS) == 2


def test_that_it_is_left_out_of_the_final_evaluation_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "NEW_NODE_SECONDS", 0.3)
    monkeypatch.setattr("server_app.run.NEW_NODE_SECONDS", 0.3)
    run, _ = slow(tmp_path, ONE_EACH, 600)
    result = run.evaluate()
    assert [(r.round, r.node, r.reason) for r in result.rejections] == [
        (1, NAME, "claimed-examples"),
        (6, NAME, "no-reply"),
    ]
    assert NAME not in result.node_accuracy


def test_nobody_waits_for_long_and_it_is_asked_for_nothing_that_would_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    wait = admission.Exchange.wait
    monkeypatch.setattr(admission.Exchange, "wait", lambda self, seconds: waited.append(seconds) or wait(self, min(seconds, 0.1)))
    run, grid = slow(tmp_path, ONE_EACH, 600)
    run.train_round(2)
    run.train_round(3)
    grid.let_go = True
    run.train_round(4)
    assert [(line["asked"], line["replies"]) for line in lines(tmp_path, "round")] == [(3, 2), (2, 2), (2, 2), (3, 3)]
    assert waited.count(admission.NEW_NODE_SECONDS) == 1, "the open question holds nobody up again"


def test_that_it_came_back_under_another_id_is_no_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "NEW_NODE_SECONDS", 0.0)
    run, grid = slow(tmp_path, (*ONE_EACH, NAME), 1.0)
    run.train_round(2)
    grid.present = [1, 3, 4]
    for round_ in (3, 4, 5):
        run.train_round(round_)
    assert [line["reason"] for line in lines(tmp_path, "rejection")] == ["claimed-examples"]
    assert replies(tmp_path) == [2, 2, 3, 3, 3]
    assert set(run.strategy.admission.members) == {1, 3, 4}
