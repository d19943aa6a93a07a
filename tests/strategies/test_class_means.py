"""What each party is told of the classes of others: their means by count, once, and anew when somebody joins."""

from __future__ import annotations

import torch
from torch import Tensor

from concord.wire.class_means import class_means_from_wire, class_means_to_wire
from concord.wire.v1 import federation_pb2 as pb
from strategies.class_means import ClassMeans, answers_in


def report(node: str, mean_CF: list[list[float]], counts: list[int], version: int = 0, modality: str = "text") -> pb.Report:
    told = class_means_to_wire(modality, torch.tensor(mean_CF), torch.tensor(counts))
    return pb.Report(node=node, class_means=[told], class_means_version=version)


def written(consensus: ClassMeans, node: str) -> pb.Instruction:
    instruction = pb.Instruction()
    consensus.write(instruction, node)
    return instruction


def means_of(instruction: pb.Instruction) -> dict[str, tuple[Tensor, Tensor]]:
    return {m.modality: class_means_from_wire(m, 2) for m in instruction.class_means}


A = report("a", [[4.0, 0.0], [0.0, 0.0]], [1, 0])
B = report("b", [[1.0, 0.0], [0.0, 8.0]], [3, 2])
D = report("d", [[2.0, 2.0], [0.0, 4.0]], [1, 2])


def three() -> ClassMeans:
    consensus = ClassMeans(2, 1.0)
    consensus.update([A, B, D])
    return consensus


def test_a_party_is_told_the_mean_of_the_others_by_count() -> None:
    mean_CF, count_C = means_of(written(three(), "a"))["text"]
    torch.testing.assert_close(mean_CF, torch.tensor([[1.25, 0.5], [0.0, 6.0]]), atol=0.02, rtol=0)
    assert count_C.tolist() == [4, 4]


def test_who_has_the_last_version_is_told_nothing() -> None:
    consensus = three()
    assert written(consensus, "a").class_means_version == 1
    consensus.update([pb.Report(node="a", class_means_version=1), pb.Report(node="b")])
    assert not written(consensus, "a").class_means
    assert written(consensus, "b").class_means  # its reply says that it has none: it lost its disk, or the message
    consensus.update([report("late", [[1.0, 1.0], [1.0, 1.0]], [1, 1])])
    assert written(consensus, "a").class_means_version == 2
    assert means_of(written(consensus, "a"))["text"][1].tolist() == [5, 5]


def test_each_party_is_asked_until_it_has_told_and_what_it_tells_first_counts() -> None:
    consensus = three()
    assert written(ClassMeans(2, 1.0), "a").tell_class_means
    assert not written(consensus, "a").tell_class_means
    assert written(consensus, "late").tell_class_means
    consensus.update([report("b", [[9.0, 9.0], [9.0, 9.0]], [9, 9], 1)])
    assert written(consensus, "a").class_means_version == 1
    assert means_of(written(consensus, "a"))["text"][1].tolist() == [4, 4]


def test_other_features_and_other_modalities_are_kept_apart() -> None:
    consensus = three()
    consensus.update([report("wide", [[1.0] * 3] * 2, [1, 1]), report("other", [[1.0] * 2] * 2, [1, 1], modality="flag")])
    assert means_of(written(consensus, "a"))["text"][1].tolist() == [4, 4]
    assert not written(consensus, "wide").class_means
    assert not written(consensus, "other").class_means


def answers(node: str, asked: int, right: int, alone: int, bare: int) -> pb.Report:
    told = pb.ClassAnswers(asked=asked, right=right, right_alone=alone, right_bare=bare)
    return pb.Report(node=node, class_means_version=1, class_answers=told)


def test_answers_of_all_are_added_and_the_last_of_each_counts() -> None:
    consensus = three()
    assert not written(consensus, "a").HasField("class_answers")
    consensus.update([answers("a", 5, 4, 3, 0), answers("b", 7, 2, 1, 6)])
    consensus.update([answers("b", 7, 6, 5, 1)])
    assert written(consensus, "d").class_answers == pb.ClassAnswers(asked=12, right=10, right_alone=8, right_bare=1)


def test_a_checkpoint_keeps_all_of_it() -> None:
    consensus, again = three(), ClassMeans(2, 1.0)
    consensus.update([answers("a", 5, 4, 3, 0), pb.Report(node="d/1", class_means_version=1)])
    again.load(consensus.state())
    for node in ("a", "b", "d", "new"):
        assert written(again, node) == written(consensus, node)
    empty = ClassMeans(2, 1.0)
    empty.load(ClassMeans(2, 1.0).state())
    assert written(empty, "a") == written(ClassMeans(2, 1.0), "a")


HUGE = [2**40 - 1, 0]  # a census may claim so many at most


def test_a_party_that_claims_most_nodes_has_its_share_and_no_more() -> None:
    consensus = ClassMeans(2, 0.5)
    consensus.update([A, B, report("liar", [[-1.0, -1.0], [0.0, 0.0]], HUGE)])
    mean_CF, count_C = means_of(written(consensus, "a"))["text"]
    assert count_C.tolist() == [3 + 6, 2]  # as many as A and B have together
    torch.testing.assert_close(mean_CF[0], torch.tensor([-3 / 9, -6 / 9]), atol=0.02, rtol=0)
    assert means_of(written(consensus, "liar"))["text"][1].tolist() == [4, 2]


def test_answers_of_a_party_that_claims_most_nodes_do_not_decide_alone() -> None:
    consensus = ClassMeans(2, 0.5)
    consensus.update([answers("a", 5, 4, 3, 0), answers("b", 7, 6, 5, 1), answers("liar", 2**40, 0, 2**40, 0)])
    assert written(consensus, "a").class_answers == pb.ClassAnswers(asked=24, right=10, right_alone=20, right_bare=1)
    assert answers_in(consensus.state(), 0.5) == written(consensus, "a").class_answers


def test_sums_of_large_counts_are_told() -> None:
    consensus = ClassMeans(2, 1.0)
    consensus.update([report(node, [[1.0, 1.0], [0.0, 0.0]], HUGE) for node in "abc"])
    assert means_of(written(consensus, "a"))["text"][1].tolist() == [2 * HUGE[0], 0]
    consensus.update([answers(node, 2**40, 2**40, 0, 0) for node in "abc"])
    assert written(consensus, "a").class_answers.right == 3 * 2**40
