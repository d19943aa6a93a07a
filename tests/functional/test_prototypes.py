"""Prototypes against loops, and their gradients."""

import pytest
import torch
from sklearn.metrics.pairwise import cosine_similarity
from torch import Tensor

from concord.functional.prototypes import aggregate_prototypes, anchor_coordinates, class_prototypes, prototype_loss


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_prototypes_are_class_means_of_the_labelled_samples() -> None:
    z_ND, y_N = normal(7, 3, seed=0), torch.tensor([2, -1, 0, 2, 2, -1, 0])
    z_ND[1] = torch.nan
    proto_CD, count_C = class_prototypes(z_ND, y_N, 4)
    assert count_C.tolist() == [2, 0, 3, 0]
    torch.testing.assert_close(proto_CD[0], (z_ND[2] + z_ND[6]) / 2)
    torch.testing.assert_close(proto_CD[2], (z_ND[0] + z_ND[3] + z_ND[4]) / 3)
    assert (proto_CD[[1, 3]] == 0).all()


def test_prototypes_without_any_label_are_zero() -> None:
    proto_CD, count_C = class_prototypes(torch.ones(2, 3), torch.tensor([-1, -1]), 4)
    assert (proto_CD == 0).all()
    assert count_C.tolist() == [0] * 4


def test_prototypes_reject_labels_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"\[0, 4\)"):
        class_prototypes(torch.ones(1, 3), torch.tensor([4]), 4)
    with pytest.raises(ValueError, match="2 embeddings but 1"):
        class_prototypes(torch.ones(2, 3), torch.tensor([0]), 4)


def test_aggregated_prototypes_are_those_of_the_pooled_samples() -> None:
    z_ND, y_N = normal(40, 3, seed=1), torch.arange(40) % 4
    y_N[:20] = y_N[:20] % 2  # node one lacks classes 2 and 3
    parts = [class_prototypes(z_ND[part], y_N[part], 5) for part in (slice(0, 20), slice(20, 40))]
    proto_CD, mask_C = aggregate_prototypes([p for p, _ in parts], [c for _, c in parts])
    pooled_CD, count_C = class_prototypes(z_ND, y_N, 5)
    torch.testing.assert_close(proto_CD, pooled_CD)
    assert torch.equal(mask_C, count_C > 0)


def test_absent_classes_keep_the_previous_prototype() -> None:
    proto_CD = torch.tensor([[1.0, 1.0], [torch.nan, 9.0], [9.0, 9.0]])
    previous_CD = torch.tensor([[5.0, 5.0], [0.0, 2.0], [0.0, 0.0]])
    merged_CD, mask_C = aggregate_prototypes([proto_CD], [torch.tensor([3, 0, 0])], previous_CD)
    assert merged_CD.tolist() == [[1, 1], [0, 2], [0, 0]]
    assert mask_C.tolist() == [True, True, False]


def test_aggregation_rejects_what_does_not_fit() -> None:
    proto_CD, count_C = torch.ones(3, 2), torch.ones(3, dtype=torch.long)
    with pytest.raises(ValueError, match="0 sets"):
        aggregate_prototypes([], [])
    with pytest.raises(ValueError, match="2 of counts"):
        aggregate_prototypes([proto_CD], [count_C, count_C])
    with pytest.raises(ValueError, match="do not fit"):
        aggregate_prototypes([proto_CD, torch.ones(3, 4)], [count_C, count_C])
    with pytest.raises(ValueError, match="do not fit"):
        aggregate_prototypes([proto_CD], [count_C[:2]])
    with pytest.raises(ValueError, match="negative"):
        aggregate_prototypes([proto_CD], [-count_C])


def test_prototype_loss_is_the_mean_squared_error_over_usable_samples() -> None:
    z_ND, proto_CD = normal(5, 3, seed=2).requires_grad_(), normal(4, 3, seed=3)
    y_N, mask_C = torch.tensor([0, -1, 2, 3, 0]), torch.tensor([True, True, True, False])
    loss = prototype_loss(z_ND, y_N, proto_CD, mask_C)
    torch.testing.assert_close(loss, torch.nn.functional.mse_loss(z_ND[[0, 2, 4]], proto_CD[[0, 2, 0]]))
    assert torch.autograd.gradcheck(lambda z: prototype_loss(z, y_N, proto_CD, mask_C), z_ND)


def test_prototype_loss_without_usable_samples_is_zero_in_the_graph() -> None:
    z_ND = normal(2, 3, seed=4).requires_grad_()
    loss = prototype_loss(z_ND, torch.tensor([-1, 1]), torch.zeros(2, 3), torch.tensor([True, False]))
    loss.backward()
    assert loss.item() == 0
    assert z_ND.grad is not None
    assert (z_ND.grad == 0).all()


def test_anchor_coordinates_are_cosines() -> None:
    z_ND, anchor_CD, mask_C = normal(5, 3, seed=5), normal(4, 3, seed=6), torch.tensor([True, False, True, True])
    anchor_CD[1] = torch.nan
    cosine_NC = anchor_coordinates(z_ND, anchor_CD, mask_C)
    expected = cosine_similarity(z_ND.numpy(), anchor_CD[mask_C].numpy())
    torch.testing.assert_close(cosine_NC[:, mask_C], torch.from_numpy(expected))
    assert (cosine_NC[:, 1] == 0).all()
    assert torch.autograd.gradcheck(lambda z: anchor_coordinates(z, anchor_CD, mask_C), z_ND.requires_grad_())
