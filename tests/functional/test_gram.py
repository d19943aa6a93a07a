"""Grams against loops in float64, scikit-learn and the formulas of the papers, and their invariances.

Shapes: N rows, C concepts, D width, P concepts present.
"""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_matrices import everyone, examples, mask, normal, rotation, seeds
from sklearn.preprocessing import KernelCenterer
from torch import Tensor

from concord.functional.gram import Estimator, centre, cka, concept_means, consensus, gram


def hsic_1(k: Tensor, l: Tensor) -> Tensor:  # noqa: E741
    """Song et al. 2012, term by term."""
    n = len(k)
    k, l = k - torch.diag(k.diagonal()), l - torch.diag(l.diagonal())  # noqa: E741
    one = torch.ones(n, dtype=k.dtype)
    return (torch.trace(k @ l) + (one @ k @ one) * (one @ l @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * (one @ k @ l @ one)) / (
        n * (n - 3)
    )


def test_concept_means_match_a_loop() -> None:
    z_ND, concept_N = normal(9, 4, seed=0), torch.tensor([3, 0, 0, 1, 3, 3, 0, 1, 1])
    mean_CD, mask_C = concept_means(z_ND, concept_N, 5)
    assert mask_C.tolist() == [True, True, False, True, False]
    for c in range(5):
        rows = [z / z.norm() for z, concept in zip(z_ND, concept_N, strict=True) if concept == c]
        expected = sum(rows, torch.zeros(4, dtype=torch.float64)) / max(len(rows), 1)
        torch.testing.assert_close(mean_CD[c], expected)


def test_concept_means_reject_concepts_out_of_range() -> None:
    for concept in (-1, 3):
        with pytest.raises(ValueError, match=r"\[0, 3\)"):
            concept_means(torch.ones(1, 2), torch.tensor([concept]), 3)
    with pytest.raises(ValueError, match="2 rows but 1"):
        concept_means(torch.ones(2, 2), torch.tensor([0]), 3)


def test_gram_holds_cosines_and_keeps_zero_rows() -> None:
    z_CD = normal(5, 3, seed=1)
    z_CD[2] = 0
    expected = torch.nn.functional.cosine_similarity(z_CD[:, None], z_CD[None], dim=2)
    torch.testing.assert_close(gram(z_CD), expected)


def test_loss_through_means_gram_and_cka_has_the_numerical_gradient() -> None:
    concept_N, target_CC = torch.tensor([0, 0, 1, 2, 3, 3, 4]), gram(normal(6, 3, seed=2))

    for estimator in ("biased", "unbiased"):

        def loss(z_ND: Tensor, estimator: Estimator = estimator) -> Tensor:
            mean_CD, mask_C = concept_means(z_ND, concept_N, 6)
            return 1 - cka(gram(mean_CD), target_CC, mask_C, estimator)

        assert torch.autograd.gradcheck(loss, normal(7, 3, seed=3).requires_grad_())


def test_zero_rows_have_a_finite_gradient() -> None:
    z_CD = normal(5, 3, seed=4)
    z_CD[1] = 0
    z_CD.requires_grad_()
    (1 - cka(gram(z_CD), gram(normal(5, 3, seed=5)))).backward()
    assert z_CD.grad is not None
    assert z_CD.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
def test_cka_of_a_constant_gram_is_zero_with_a_finite_gradient(estimator: Estimator, dtype: torch.dtype) -> None:
    z_CD = normal(1, 3, seed=6).repeat(7, 1).to(dtype).requires_grad_()
    similarity = cka(gram(z_CD), gram(normal(7, 3, seed=7).to(dtype)), estimator=estimator)
    similarity.backward()
    assert similarity.item() == 0
    assert z_CD.grad is not None
    assert z_CD.grad.isfinite().all()


def test_centre_matches_scikit_learn_on_the_rows_present() -> None:
    gram_CC, mask_C = gram(normal(6, 4, seed=8)), mask(0, 2, 3, 5, of=6)
    gram_CC[1] = torch.nan
    centred_CC = centre(gram_CC, mask_C)
    expected = KernelCenterer().fit_transform(gram_CC[mask_C][:, mask_C].numpy())
    torch.testing.assert_close(centred_CC[mask_C][:, mask_C], torch.from_numpy(expected))
    assert (centred_CC[~mask_C] == 0).all()
    assert (centred_CC[:, ~mask_C] == 0).all()
    assert (centre(gram_CC, torch.zeros(6, dtype=torch.bool)) == 0).all()


@examples
@given(seeds, st.integers(2, 9), st.integers(1, 12))
def test_biased_cka_matches_scikit_learn_and_lies_between_zero_and_one(seed: int, concepts: int, width: int) -> None:
    a_CC, b_CC = gram(normal(concepts, width, seed=seed)), gram(normal(concepts, 3, seed=seed + 1))
    a, b = (KernelCenterer().fit_transform(g.numpy()).ravel() for g in (a_CC, b_CC))
    similarity = cka(a_CC, b_CC).item()
    assert -1e-12 <= similarity <= 1 + 1e-12
    if a @ a > 1e-20 and b @ b > 1e-20:  # width 1 may give a constant Gram
        assert similarity == pytest.approx((a @ b) / ((a @ a) * (b @ b)) ** 0.5, abs=1e-10)


@examples
@given(seeds, st.integers(4, 9))
def test_unbiased_cka_is_the_ratio_of_hsic_1(seed: int, concepts: int) -> None:
    a_CC, b_CC = gram(normal(concepts, 5, seed=seed)), gram(normal(concepts, 4, seed=seed + 1))
    expected = hsic_1(a_CC, b_CC) / (hsic_1(a_CC, a_CC) * hsic_1(b_CC, b_CC)).sqrt()
    torch.testing.assert_close(cka(a_CC, b_CC, estimator="unbiased"), expected)


@examples
@given(seeds, st.sampled_from(["biased", "unbiased"]), st.floats(1e-2, 1e2))
def test_cka_is_invariant(seed: int, estimator: Estimator, scale: float) -> None:
    def similarity(a_CC: Tensor, b_CC: Tensor, mask_C: Tensor | None = None) -> Tensor:
        return cka(a_CC, b_CC, mask_C, estimator)

    a_CD, b_CC = normal(8, 5, seed=seed), gram(normal(8, 3, seed=seed + 1))
    reference = similarity(gram(a_CD), b_CC)
    torch.testing.assert_close(similarity(gram(scale * a_CD @ rotation(5, seed)), b_CC), reference)
    torch.testing.assert_close(similarity(scale * gram(a_CD) + 3, b_CC), reference)
    torch.testing.assert_close(similarity(b_CC, gram(a_CD)), reference)
    order_C = torch.randperm(8, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(similarity(gram(a_CD)[order_C][:, order_C], b_CC[order_C][:, order_C]), reference)
    torch.testing.assert_close(similarity(gram(a_CD), gram(a_CD)), torch.tensor(1.0, dtype=torch.float64))
    present_C = mask(0, 1, 3, 4, 6, of=8)
    inside = similarity(gram(a_CD)[present_C][:, present_C], b_CC[present_C][:, present_C])
    torch.testing.assert_close(similarity(gram(a_CD), b_CC, present_C), inside)


def test_only_the_unbiased_cka_of_independent_rows_is_near_zero() -> None:
    pairs = [(gram(normal(10, 64, seed=s)), gram(normal(10, 64, seed=s + 1000))) for s in range(200)]
    biased = torch.stack([cka(a, b) for a, b in pairs]).mean()
    unbiased = torch.stack([cka(a, b, estimator="unbiased") for a, b in pairs]).mean()
    assert biased > 0.8
    assert abs(unbiased) < 0.03


def test_cka_rejects_too_few_rows_and_shapes_that_do_not_fit() -> None:
    gram_CC = gram(normal(5, 3, seed=9))
    with pytest.raises(ValueError, match="needs 2 common rows, got 1"):
        cka(gram_CC, gram_CC, mask(0, of=5))
    with pytest.raises(ValueError, match="needs 4 common rows, got 3"):
        cka(gram_CC, gram_CC, mask(0, 1, 2, of=5), "unbiased")
    with pytest.raises(ValueError, match="Grams of shapes"):
        cka(gram_CC, gram_CC[:4, :4])
    with pytest.raises(ValueError, match="mask of 4 rows"):
        cka(gram_CC, gram_CC, everyone(4))


@examples
@given(seeds, st.lists(st.floats(0.1, 10), min_size=1, max_size=4))
def test_consensus_of_full_grams_is_the_weighted_mean_of_unit_centred_grams(seed: int, weights: list[float]) -> None:
    grams = [(gram(normal(6, 4, seed=seed + k)) * 10.0**k, everyone(6)) for k in range(len(weights))]
    consensus_CC, mask_C = consensus(grams, torch.tensor(weights))
    expected = torch.zeros(6, 6, dtype=torch.float64)
    for weight, (gram_CC, _) in zip(torch.tensor(weights).tolist(), grams, strict=True):
        centred = torch.from_numpy(KernelCenterer().fit_transform(gram_CC.numpy().copy()))
        expected += weight * centred / centred.norm()
    torch.testing.assert_close(consensus_CC, expected / torch.tensor(weights).double().sum())
    assert mask_C.all()


def test_consensus_averages_an_entry_over_the_nodes_that_hold_both_rows() -> None:
    masks = [mask(0, 1, 2, 3, of=6), mask(1, 2, 3, 4, of=6), mask(1, 2, 3, of=6)]
    grams = [(gram(normal(6, 4, seed=10 + k)), m) for k, m in enumerate(masks)]
    grams[0][0][5] = torch.inf  # a masked row is never read
    weights = [1.0, 2.0, 3.0]
    consensus_CC, mask_C = consensus(grams, torch.tensor(weights))
    assert mask_C.tolist() == [True, True, True, True, True, False]
    terms = []
    for gram_CC, m in grams:
        centred = centre(gram_CC, m)
        terms.append(centred / centred.norm() * m.sum() / 5)
    for i in range(6):
        for j in range(6):
            holders = [k for k in range(3) if masks[k][i] and masks[k][j]]
            total = sum(weights[k] for k in holders)
            expected = sum(weights[k] * terms[k][i, j].item() for k in holders) / total if holders else 0.0
            assert consensus_CC[i, j].item() == pytest.approx(expected, abs=1e-12)


def test_consensus_with_missing_rows_keeps_the_geometry() -> None:
    """Scaling by the rows held keeps a node that misses rows from bending the consensus."""
    for seed in range(20):
        truth_CD = normal(10, 8, seed=seed)
        noisy = [gram(truth_CD + 0.1 * normal(10, 8, seed=100 * seed + k)) for k in range(4)]
        masks = [everyone(10), everyone(10), mask(0, 1, 2, 3, 4, 5, of=10), mask(4, 5, 6, 7, 8, 9, of=10)]
        consensus_CC, mask_C = consensus(list(zip(noisy, masks, strict=True)), torch.ones(4))
        assert cka(consensus_CC, gram(truth_CD), mask_C) > 0.93


def test_a_node_of_weight_zero_has_no_say() -> None:
    grams = [(gram(normal(5, 4, seed=k)), m) for k, m in enumerate([mask(0, 1, 2, of=5), everyone(5)])]
    consensus_CC, mask_C = consensus(grams, torch.tensor([2.0, 0.0]))
    alone_CC, _ = consensus(grams[:1], torch.tensor([1.0]))
    torch.testing.assert_close(consensus_CC, alone_CC)
    assert mask_C.tolist() == [True, True, True, False, False]


def test_consensus_rejects_what_does_not_fit() -> None:
    gram_CC = gram(normal(4, 3, seed=0))
    for weights in ([], [-1.0], [0.0], [float("nan")], [1.0, 1.0]):
        with pytest.raises(ValueError, match="weights"):
            consensus([(gram_CC, everyone(4))], torch.tensor(weights))
    with pytest.raises(ValueError, match="weights"):
        consensus([], torch.tensor([]))
    with pytest.raises(ValueError, match="different shapes"):
        consensus([(gram_CC, everyone(4)), (gram_CC[:3, :3], everyone(3))], torch.ones(2))
