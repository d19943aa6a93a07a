"""Smoothed features, cosines with class means, right answers, and targets, by hand and against slow references."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from concord.functional.grounding import (
    class_cosines,
    class_targets,
    grounding_loss,
    left_out_cosines,
    mean_cosines,
    right_answers,
    smoothed,
)

PATH_2E = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])  # 0 - 1 - 2, and 3 alone
INF = float("inf")


def test_a_node_and_its_neighbours_are_averaged_hop_by_hop() -> None:
    x_NF = torch.tensor([[6.0], [0.0], [3.0], [5.0]])
    everyone = torch.ones(4, dtype=torch.bool)
    once, known_N = smoothed(x_NF, everyone, PATH_2E, 1)
    assert once.flatten().tolist() == [3, 3, 1.5, 5]
    assert known_N.all()
    twice, _ = smoothed(x_NF, everyone, PATH_2E, 2)
    assert twice.flatten().tolist() == [3, 2.5, 2.25, 5]
    assert torch.equal(smoothed(x_NF, everyone, PATH_2E, 0)[0], x_NF)


def test_nodes_without_the_modality_are_in_no_mean() -> None:
    x_NF = torch.tensor([[6.0], [0.0], [3.0], [0.0]])
    mean_NF, known_N = smoothed(x_NF, torch.tensor([True, False, True, False]), PATH_2E, 1)
    assert mean_NF.flatten().tolist() == [6, 4.5, 3, 0]
    assert known_N.tolist() == [True, True, True, False]


def test_cosines_are_seen_from_the_middle_of_the_means() -> None:
    mean_CF = torch.tensor([[3.0, 1.0], [1.0, 1.0], [9.0, 9.0]])
    cosine_NC = class_cosines(torch.tensor([[3.0, 1.0], [2.0, 5.0]]), mean_CF, torch.tensor([True, True, False]))
    assert cosine_NC.tolist() == [[1, -1, 0], [0, 0, 0]]
    assert class_cosines(torch.ones(1, 2), mean_CF, torch.zeros(3, dtype=torch.bool)).tolist() == [[0, 0, 0]]


def test_cosines_are_those_of_torch() -> None:
    torch.manual_seed(0)
    x_NF, mean_CF = torch.randn(5, 7), torch.randn(3, 7)
    middle = mean_CF.mean(0)
    reference = F.cosine_similarity((x_NF - middle)[:, None], (mean_CF - middle)[None], dim=2)
    torch.testing.assert_close(class_cosines(x_NF, mean_CF, torch.ones(3, dtype=torch.bool)), reference)


def test_modalities_have_a_say_where_they_know() -> None:
    seen = [torch.tensor([[True, True], [False, False]]), torch.tensor([[True, False], [False, False]])]
    mean_NC = mean_cosines([torch.tensor([[0.5, 0.1], [1.0, 1.0]]), torch.tensor([[0.1, 0.9], [1.0, 1.0]])], seen)
    torch.testing.assert_close(mean_NC, torch.tensor([[0.3, 0.1], [-INF, -INF]]))


def test_a_node_is_not_in_the_mean_that_it_is_compared_with() -> None:
    torch.manual_seed(0)
    x_NF, y_N = torch.randn(7, 5), torch.tensor([0, 0, 0, 1, 1, 1, 2])
    mean_CF = torch.stack([x_NF[y_N == c].mean(0) if c < 3 else torch.zeros(5) for c in range(4)])
    cosine_NC, has_NC = left_out_cosines(x_NF, y_N, mean_CF, torch.tensor([3, 3, 1, 0]))
    middle = mean_CF[:3].mean(0)
    for node in range(6):
        rest = torch.stack([x for i, x in enumerate(x_NF) if i != node and y_N[i] == y_N[node]]).mean(0)
        own = F.cosine_similarity(x_NF[node] - middle, rest - middle, dim=0)
        torch.testing.assert_close(cosine_NC[node, y_N[node]], own)
    torch.testing.assert_close(cosine_NC[0, 1], F.cosine_similarity(x_NF[0] - middle, mean_CF[1] - middle, dim=0))
    assert has_NC[0].tolist() == [True, True, True, False]
    assert has_NC[6].tolist() == [True, True, False, False]  # the only node of its class


def test_a_modality_that_no_labelled_node_has_says_nothing_and_spoils_nothing() -> None:
    x_NF, y_N = torch.randn(4, 5), torch.tensor([0, 0, 1, 1])
    mean_CF = torch.stack([x_NF[:2].mean(0), x_NF[2:].mean(0)])
    known = left_out_cosines(x_NF, y_N, mean_CF, torch.tensor([2, 2]))
    nothing = left_out_cosines(torch.zeros(4, 3), y_N, torch.zeros(2, 3), torch.tensor([0, 0]))
    assert not nothing[1].any()
    torch.testing.assert_close(mean_cosines(*zip(known, nothing, strict=True)), known[0])


def test_a_node_without_any_cosine_is_not_right() -> None:
    cosine_NC = torch.tensor([[0.9, 0.1, -INF], [0.9, 0.1, -INF], [-INF, -INF, -INF], [-0.5, -0.9, -INF]])
    assert right_answers(cosine_NC, torch.tensor([0, 1, 0, 0])) == 2
    assert right_answers(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)) == 0


def test_less_is_learnt_of_others_the_more_labels_a_class_has() -> None:
    cosine_NC = torch.tensor([[0.2, 0.2, -INF], [-INF, -INF, -INF]])
    target_NC = class_targets(cosine_NC, torch.tensor([3, 0, 0]), 0.1, 1.0)
    half_of_it = (1 / 4 + 1) / 2 / 2
    torch.testing.assert_close(target_NC, torch.tensor([[half_of_it, half_of_it, 0.0], [0.0, 0.0, 0.0]]))
    only_unknown_NC = class_targets(cosine_NC, torch.tensor([3, 0, 0]), 0.1, 0.0)
    torch.testing.assert_close(only_unknown_NC[0], torch.tensor([0.25, 0.25, 0.0]))


def test_the_loss_is_the_cross_entropy_of_weighted_targets() -> None:
    torch.manual_seed(1)
    out_NC, target_NC = torch.randn(6, 4), torch.rand(6, 4).softmax(1)
    torch.testing.assert_close(grounding_loss(out_NC, target_NC), F.cross_entropy(out_NC, target_NC))
    assert grounding_loss(out_NC, torch.zeros(6, 4)) == 0
