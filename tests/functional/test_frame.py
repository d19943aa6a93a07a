"""The frame against its definition, and its losses against scikit-learn and by their invariances.

Shapes: N rows, C concepts, D width.
"""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_matrices import everyone, examples, mask, normal, rotation, seeds
from sklearn.metrics import log_loss
from sklearn.metrics.pairwise import cosine_similarity
from torch import Tensor

from concord.functional.frame import frame, frame_cross_entropy, frame_distance
from concord.functional.gram import consensus, gram


@examples
@given(seeds, st.integers(2, 8), st.booleans())
def test_cosines_of_the_frame_are_those_of_the_centred_consensus(seed: int, concepts: int, align: bool) -> None:
    gram_CC = gram(normal(concepts + 1, 5, seed=seed))
    present_C = mask(*range(1, concepts + 1), of=concepts + 1)
    consensus_CC, mask_C = consensus([(gram_CC, present_C)], torch.ones(1))
    previous_CD = frame(gram(normal(concepts + 1, 4, seed=seed + 1)), present_C, 12) if align else None
    frame_CD = frame(consensus_CC, mask_C, 12, previous_CD)
    norm_C = consensus_CC.diagonal().sqrt()
    expected = consensus_CC / torch.outer(norm_C, norm_C).masked_fill(~(present_C[:, None] & present_C), 1)
    torch.testing.assert_close(frame_CD @ frame_CD.T, expected, atol=1e-6, rtol=0)
    assert (frame_CD[0] == 0).all()


def test_frame_in_few_dimensions_keeps_the_leading_ones() -> None:
    axes_CD = torch.zeros(6, 3, dtype=torch.float64)
    for axis, length in enumerate((3.0, 2.0, 1.0)):
        axes_CD[2 * axis, axis], axes_CD[2 * axis + 1, axis] = length, -length
    frame_CD = frame(axes_CD @ axes_CD.T, everyone(6), 2)
    cosine_CC = frame_CD @ frame_CD.T
    torch.testing.assert_close(cosine_CC[:4, :4], gram(axes_CD)[:4, :4])


@examples
@given(seeds, st.integers(7, 16))
def test_frame_follows_the_previous_one(seed: int, dim: int) -> None:
    gram_CC = gram(normal(8, 5, seed=seed))
    turned_CD = frame(gram_CC, everyone(8), dim) @ rotation(dim, seed)
    torch.testing.assert_close(frame(gram_CC, everyone(8), dim, turned_CD), turned_CD, atol=1e-6, rtol=0)
    moved_CC = gram(normal(8, 5, seed=seed) + 0.02 * normal(8, 5, seed=seed + 1))
    aligned_CD = frame(moved_CC, everyone(8), dim, turned_CD)
    for rival in range(5):  # no other rotation comes nearer
        rival_CD = aligned_CD @ torch.linalg.matrix_exp(0.1 * (r := normal(dim, dim, seed=rival)) - 0.1 * r.T)
        assert (aligned_CD - turned_CD).norm() <= (rival_CD - turned_CD).norm() + 1e-9


def test_frame_does_not_depend_on_the_order_of_the_concepts_and_is_deterministic() -> None:
    gram_CC = gram(normal(7, 5, seed=11))
    frame_CD = frame(gram_CC, everyone(7), 9)
    order_C = torch.tensor([3, 1, 6, 0, 2, 5, 4])
    torch.testing.assert_close(frame(gram_CC[order_C][:, order_C], everyone(7), 9), frame_CD[order_C], atol=1e-8, rtol=0)
    assert torch.equal(frame(gram_CC.clone(), everyone(7), 9), frame_CD)
    assert frame(gram_CC.float(), everyone(7), 9).dtype == torch.float32


@pytest.mark.parametrize("present", [(), (2,), (0, 1, 4), range(7)])
def test_frame_of_nothing_to_compare_is_zero(present: Sequence[int]) -> None:
    previous_CD = frame(gram(normal(7, 3, seed=12)), everyone(7), 9)
    for previous in (None, previous_CD):
        frame_CD = frame(torch.full((7, 7), 0.3, dtype=torch.float64), mask(*present, of=7), 9, previous)
        torch.testing.assert_close(frame_CD, torch.zeros(7, 9, dtype=torch.float64), atol=0, rtol=0)


def test_frame_rejects_what_does_not_fit() -> None:
    gram_CC = gram(normal(4, 3, seed=13))
    with pytest.raises(ValueError, match="at least one dimension"):
        frame(gram_CC, everyone(4), 0)
    with pytest.raises(ValueError, match="previous frame"):
        frame(gram_CC, everyone(4), 6, torch.zeros(4, 5))
    with pytest.raises(ValueError, match="mask of 3 rows"):
        frame(gram_CC, everyone(3), 6)


def rows(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings [12, 6], their concepts [12] and a frame [5, 6]."""
    concept_N = torch.randint(0, 5, (12,), generator=torch.Generator().manual_seed(seed))
    return normal(12, 6, seed=seed), concept_N, torch.nn.functional.normalize(normal(5, 6, seed=seed + 1), dim=1)


@examples
@given(seeds, st.floats(0.5, 20))
def test_cross_entropy_is_the_log_loss_of_the_scaled_cosines(seed: int, scale: float) -> None:
    z_ND, concept_N, frame_CD = rows(seed)
    probability_NC = torch.softmax(scale * torch.from_numpy(cosine_similarity(z_ND, frame_CD)), 1)
    expected = log_loss(concept_N, probability_NC, labels=range(5))
    assert frame_cross_entropy(z_ND, concept_N, frame_CD, everyone(5), scale).item() == pytest.approx(expected)


@examples
@given(seeds)
def test_distance_is_one_minus_the_cosine(seed: int) -> None:
    z_ND, concept_N, frame_CD = rows(seed)
    expected = 1 - cosine_similarity(z_ND, frame_CD)[range(12), concept_N].mean()
    assert frame_distance(z_ND, concept_N, frame_CD, everyone(5)).item() == pytest.approx(expected)


@examples
@given(seeds, st.floats(0.01, 100))
def test_losses_do_not_see_the_length_of_a_row_nor_a_rotation_of_the_space(seed: int, length: float) -> None:
    z_ND, concept_N, frame_CD = rows(seed)
    turn_DD = rotation(6, seed)
    for loss in (
        lambda z, f: frame_cross_entropy(z, concept_N, f, everyone(5), 4.0),
        lambda z, f: frame_distance(z, concept_N, f, everyone(5)),
    ):
        torch.testing.assert_close(loss(length * z_ND @ turn_DD, frame_CD @ turn_DD), loss(z_ND, frame_CD))


def test_losses_leave_out_concepts_that_the_frame_does_not_know() -> None:
    z_ND, concept_N, frame_CD = rows(3)
    known_C = mask(0, 2, 3, of=5)
    kept_N = known_C[concept_N]
    renamed_C = torch.tensor([0, -1, 1, 2, -1])
    few = (z_ND[kept_N], renamed_C[concept_N[kept_N]], frame_CD[known_C], everyone(3))
    torch.testing.assert_close(frame_cross_entropy(z_ND, concept_N, frame_CD, known_C, 4.0), frame_cross_entropy(*few, 4.0))
    torch.testing.assert_close(frame_distance(z_ND, concept_N, frame_CD, known_C), frame_distance(*few))


def test_losses_of_no_known_concept_are_zero_with_a_zero_gradient() -> None:
    z_ND, concept_N, frame_CD = rows(4)
    z_ND.requires_grad_()
    loss = frame_cross_entropy(z_ND, concept_N, frame_CD, mask(of=5), 4.0) + frame_distance(z_ND, concept_N, frame_CD, mask(of=5))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0
    assert z_ND.grad is not None
    assert not z_ND.grad.any()
