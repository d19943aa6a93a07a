"""A reply that is not as it must be is left out with its reason; the run goes on with the others."""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import FedAvg
from flwr.serverapp.strategy.strategy_utils import InconsistentMessageReplies
from tiny_run import (
    TRAIN,
    Arrays,
    Attack,
    against,
    at,
    edit,
    in_turn,
    lines,
    open_tiny,
    report_of,
    run_tiny,
)

from concord.wire.records import ARRAYS, MESSAGE, PROTOBUF
from concord.wire.v1 import federation_pb2 as pb
from server_app.results import Result
from strategies.checks.rejection import LONGEST_LINE

NODES = ("image-forms-a", "image-forms-b", "word-west-europe")
HOSTILE, NAME = 2, NODES[1]

Attacked = tuple[Result, list[dict[str, Any]]]


def claim(report: pb.Report, group: str = "trunk") -> pb.GroupClaim:
    return next(c for c in report.groups if c.manifest.group == group)


def not_a_number(report: pb.Report, arrays: Arrays) -> None:
    arrays["trunk"][3] = math.nan


def infinite(report: pb.Report, arrays: Arrays) -> None:
    arrays["head"][0] = math.inf


def fewer_values(report: pb.Report, arrays: Arrays) -> None:
    arrays["trunk"] = arrays["trunk"][:-1]


def other_type(report: pb.Report, arrays: Arrays) -> None:
    arrays["trunk"] = arrays["trunk"].astype(np.float64)  # type: ignore[assignment]


def other_shape(report: pb.Report, arrays: Arrays) -> None:
    claim(report).manifest.tensors[0].shape[0] += 1


def renamed_tensor(report: pb.Report, arrays: Arrays) -> None:
    claim(report).manifest.tensors[0].name = "another"


def tensor_twice(report: pb.Report, arrays: Arrays) -> None:
    claim(report).manifest.tensors.append(claim(report).manifest.tensors[0])


def unknown_group(report: pb.Report, arrays: Arrays) -> None:
    claim(report).manifest.group = "tokeniser.word"
    arrays["tokeniser.word"] = arrays.pop("trunk")


def group_without_array(report: pb.Report, arrays: Arrays) -> None:
    del arrays["trunk"]


def array_without_claim(report: pb.Report, arrays: Arrays) -> None:
    arrays["more"] = np.zeros(3, np.float32)


def group_twice(report: pb.Report, arrays: Arrays) -> None:
    report.groups.append(claim(report))


def other_round(report: pb.Report, arrays: Arrays) -> None:
    report.round = 1


def other_anchors(report: pb.Report, arrays: Arrays) -> None:
    report.anchor_digest = "0" * 64


def other_node(report: pb.Report, arrays: Arrays) -> None:
    report.node = "image-forms-a"


def variance(value: float) -> Callable[[pb.Report, Arrays], None]:
    def change(report: pb.Report, arrays: Arrays) -> None:
        claim(report).variance = value

    return change


def more_examples(report: pb.Report, arrays: Arrays) -> None:
    claim(report).examples += 1


def huge(report: pb.Report, arrays: Arrays) -> None:
    arrays["trunk"] += 1e6


def right_out_of_range(report: pb.Report, arrays: Arrays) -> None:
    report.evaluations[0].correct = report.evaluations[0].examples + 1


def more_examples_than_there_can_be(report: pb.Report, arrays: Arrays) -> None:
    evaluation = report.evaluations[0]
    evaluation.examples = evaluation.correct = 2**63
    for counts in (evaluation.classes.hits, evaluation.classes.predicted, evaluation.classes.actual):
        counts[:] = [2**63, *[0] * (len(counts) - 1)]


def counts_that_do_not_add_up(report: pb.Report, arrays: Arrays) -> None:
    report.evaluations[0].classes.predicted[0] += 1


def counts_of_too_few_classes(report: pb.Report, arrays: Arrays) -> None:
    del report.evaluations[0].classes.actual[-1]


def more_hits_of_a_class_than_samples(report: pb.Report, arrays: Arrays) -> None:
    counts = report.evaluations[0].classes
    counts.ClearField("hits")
    counts.hits.extend([report.evaluations[0].correct, *[0] * (len(counts.actual) - 1)])
    counts.predicted[1] += counts.predicted[0]
    counts.predicted[0] = 0
    if not report.evaluations[0].correct:
        counts.hits[0], report.evaluations[0].correct = 1, 1


def many_splits(report: pb.Report, arrays: Arrays) -> None:
    for number in range(17):
        report.evaluations.add().CopyFrom(report.evaluations[0])
        report.evaluations[-1].split = f"split-{number}"


def infinite_loss(report: pb.Report, arrays: Arrays) -> None:
    report.evaluations[0].loss_sum = math.inf


def huge_gram(report: pb.Report, arrays: Arrays) -> None:
    report.grams[0].gram.upper[1] = 3e38


def nan_gram(report: pb.Report, arrays: Arrays) -> None:
    report.grams[0].gram.upper[1] = math.nan


def empty_gram(report: pb.Report, arrays: Arrays) -> None:
    report.grams[0].gram.mask = bytes(2)
    del report.grams[0].gram.upper[:]


def gram_of_another_modality(report: pb.Report, arrays: Arrays) -> None:
    report.grams[0].modality = "word"


def gram_twice(report: pb.Report, arrays: Arrays) -> None:
    report.grams.append(report.grams[0])


def evaluation_of_another_modality(report: pb.Report, arrays: Arrays) -> None:
    report.evaluations[0].modality = "word"


def random_bytes(message: Message, reply: Message) -> Message:
    reply.content = RecordDict({MESSAGE: ConfigRecord({PROTOBUF: np.random.default_rng(0).bytes(300)})})
    return reply


def random_array(message: Message, reply: Message) -> Message:
    arrays = reply.content.array_records[ARRAYS]
    arrays["trunk"] = Array("float32", (3,), "numpy.ndarray", np.random.default_rng(0).bytes(300))
    return reply


def pickled_array(message: Message, reply: Message) -> Message:
    data = io.BytesIO()
    np.save(data, np.array([print, {}], dtype=object), allow_pickle=True)
    reply.content.array_records[ARRAYS]["trunk"] = Array("object", (2,), "numpy.ndarray", data.getvalue())
    return reply


def no_message(message: Message, reply: Message) -> Message:
    del reply.content[MESSAGE]
    return reply


def empty_record(message: Message, reply: Message) -> Message:
    reply.content = RecordDict()
    return reply


def error(message: Message, reply: Message) -> Message:
    return Message(Error(7, "out of memory"), reply_to=message)


def endless_error(message: Message, reply: Message) -> Message:
    return Message(Error(7, "no " * 1_000_000), reply_to=message)


ATTACKS: dict[str, tuple[Attack, str]] = {
    "nan": (edit(not_a_number), "not-finite"),
    "infinity": (edit(infinite), "not-finite"),
    "fewer values": (edit(fewer_values), "wrong-shape"),
    "float64": (edit(other_type), "wrong-shape"),
    "other shape": (edit(other_shape), "wrong-shape"),
    "renamed tensor": (edit(renamed_tensor), "wrong-shape"),
    "tensor named twice": (edit(tensor_twice), "wrong-shape"),
    "unknown group": (edit(unknown_group), "unknown-group"),
    "claim without array": (edit(group_without_array), "undecodable"),
    "array without claim": (edit(array_without_claim), "undecodable"),
    "group twice": (edit(group_twice), "undecodable"),
    "other round": (edit(other_round), "other-round"),
    "other anchors": (edit(other_anchors), "other-anchors"),
    "other node": (edit(other_node), "other-node"),
    "variance zero": (edit(variance(0.0)), "claimed-precision"),
    "variance negative": (edit(variance(-1.0)), "claimed-precision"),
    "variance infinite": (edit(variance(math.inf)), "claimed-precision"),
    "variance nan": (edit(variance(math.nan)), "claimed-precision"),
    "too many examples": (edit(more_examples), "claimed-examples"),
    "huge norm": (edit(huge), "large-norm"),
    "more right than examples": (edit(right_out_of_range), "evaluation"),
    "more examples than there can be": (edit(more_examples_than_there_can_be), "evaluation"),
    "many splits": (edit(many_splits), "evaluation"),
    "infinite loss": (edit(infinite_loss), "evaluation"),
    "counts that do not add up": (edit(counts_that_do_not_add_up), "evaluation"),
    "counts of too few classes": (edit(counts_of_too_few_classes), "evaluation"),
    "more hits of a class than samples": (edit(more_hits_of_a_class_than_samples), "evaluation"),
    "huge gram": (edit(huge_gram), "gram"),
    "nan gram": (edit(nan_gram), "undecodable"),
    "empty gram": (edit(empty_gram), "gram"),
    "gram of another modality": (edit(gram_of_another_modality), "unknown-modality"),
    "gram twice": (edit(gram_twice), "unknown-modality"),
    "evaluation of another modality": (edit(evaluation_of_another_modality), "unknown-modality"),
    "random bytes": (random_bytes, "undecodable"),
    "random array": (random_array, "undecodable"),
    "pickled array": (pickled_array, "undecodable"),
    "no message": (no_message, "undecodable"),
    "empty record": (empty_record, "undecodable"),
    "error": (error, "node-error"),
    "endless error": (endless_error, "node-error"),
    "silence": (lambda message, reply: None, "no-reply"),
}


GOOD_ROUNDS = 1  # before the attacks, of which every later round has one


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Attacked:
    """A run whose node `NAME` tries another attack in every round, and what its rounds say."""
    folder = tmp_path_factory.mktemp("attacked")
    intercept = in_turn(HOSTILE, (attack for attack, _ in ATTACKS.values()), GOOD_ROUNDS + 1)
    settings = {"rounds": GOOD_ROUNDS + len(ATTACKS), "local-steps": 1, "round-timeout": 0.2}
    return run_tiny(folder, settings, NODES[2:0:-1], intercept), lines(folder, "round")


@pytest.mark.parametrize("name", ATTACKS)
def test_a_bad_reply_is_left_out_with_its_reason_and_the_others_count(name: str, attacked: Attacked) -> None:
    result, rounds = attacked
    round_ = GOOD_ROUNDS + 1 + list(ATTACKS).index(name)
    assert [(r.node, r.reason) for r in result.rejections if r.round == round_] == [(NAME, ATTACKS[name][1])]
    assert [(r["asked"], r["replies"], r["rejected"], r["kept-old-model"]) for r in rounds if r["round"] == round_] == [
        (2, 1, 1, False)
    ]


def test_what_is_kept_of_an_attack_is_short(attacked: Attacked) -> None:
    result, _ = attacked
    assert max(len(r.detail) for r in result.rejections) == LONGEST_LINE + 1


def test_a_run_under_attack_ends_well_and_the_attacker_counts_again_once_it_behaves(attacked: Attacked) -> None:
    result, rounds = attacked
    assert [r["rejected"] for r in rounds] == [0] * GOOD_ROUNDS + [1] * len(ATTACKS) + [0]
    assert result.weights["trunk"] == {"word-west-europe": 1.0}
    assert NAME in result.node_accuracy
    figures = [a.accuracy for split in result.accuracy.values() for a in split.values()]
    assert all(math.isfinite(figure) for figure in figures)


@pytest.mark.parametrize("value", [1e300, 5e-324])
def test_an_extreme_but_finite_variance_neither_ends_the_run_nor_gives_more_than_the_cap(value: float, tmp_path: Path) -> None:
    result = run_tiny(tmp_path, {}, NODES, against(HOSTILE, edit(variance(value))))
    assert result.rejections == []
    assert sum(result.weights["trunk"].values()) == pytest.approx(1)
    share = result.weights["trunk"][NAME]
    assert share < 1e-12 if value > 1 else share == pytest.approx(0.5)


def test_too_few_good_replies_keep_the_old_model_bit_for_bit_and_it_is_said(tmp_path: Path) -> None:
    run = open_tiny(tmp_path, {"min-replies": 3, "rounds": 3}, NODES, against(HOSTILE, edit(not_a_number)))
    run.wait_for_nodes()
    run.train_round(1)
    before, agreed = copy.deepcopy(run.strategy.state.groups), copy.deepcopy(run.strategy.consensus.state())
    run.train_round(2)
    after = run.strategy.state.groups
    assert all(torch.equal(before[g][name], after[g][name]) for g in before for name in before[g])
    assert all(torch.equal(agreed[name], tensor) for name, tensor in run.strategy.consensus.state().items())
    run.train_round(3)
    assert any(not torch.equal(before[g][name], run.strategy.state.groups[g][name]) for g in before for name in before[g])
    assert run.evaluate().rounds_kept == [2]
    kept = {line["round"]: line["kept-old-model"] for line in lines(tmp_path, "round")}
    assert kept == {1: False, 2: True, 3: False, 4: False}
    assert not [line for line in lines(tmp_path, "weight") if line["round"] == 2]


def test_nodes_of_other_modalities_reply_with_other_groups_and_flowers_fedavg_would_end_the_run(tmp_path: Path) -> None:
    replies: dict[int, Message] = {}

    def keep(node_id: int, message: Message, reply: Message) -> Message:
        if at(TRAIN, 1, message):
            replies[node_id] = copy.deepcopy(reply)
        return reply

    result = run_tiny(tmp_path, {"rounds": 1}, NODES, keep)
    assert {c.manifest.group for c in report_of(replies[1]).groups} == {"trunk", "tokeniser.image", "head"}
    assert {c.manifest.group for c in report_of(replies[3]).groups} == {"trunk", "tokeniser.word", "head"}
    assert result.rejections == []
    assert result.weights["tokeniser.word"] == {"word-west-europe": 1.0}
    assert len(result.weights["tokeniser.image"]) == 2
    assert len(result.weights["trunk"]) == 3

    flowers = {i: as_flower_wants_it(reply) for i, reply in replies.items()}
    arrays, _ = FedAvg().aggregate_train(1, [flowers[1], flowers[2]])
    assert arrays is not None  # the same keys: Flower averages
    with pytest.raises(InconsistentMessageReplies):
        FedAvg().aggregate_train(1, [flowers[1], flowers[3]])


def as_flower_wants_it(reply: Message) -> Message:
    """The same arrays under the names that Flower's FedAvg looks for."""
    arrays: ArrayRecord = reply.content.array_records[ARRAYS]
    reply.content = RecordDict({"arrays": arrays, "metrics": MetricRecord({"num-examples": 3})})
    return reply
