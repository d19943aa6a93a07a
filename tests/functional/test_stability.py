"""CKA between halves: one for samples that say the same, chance for noise; likeness against NumPy."""

from __future__ import annotations

import numpy as np
import torch

from concord.functional.stability import agreement_of_halves, alike


def samples(noise: float, concepts: int = 12, each: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    centre_CD = torch.randn((concepts, 16), generator=generator)
    concept_N = torch.arange(concepts).repeat(each)
    return centre_CD[concept_N] + noise * torch.randn((len(concept_N), 16), generator=generator), concept_N


def test_halves_without_noise_are_one_and_shuffled_ones_are_not() -> None:
    (found,) = agreement_of_halves(*samples(0.0), [12], 20, torch.Generator().manual_seed(0))
    np.testing.assert_allclose(found.same, 1, atol=1e-5)
    assert found.concepts == 12
    assert found.chance[1] <= found.chance[0] <= found.chance[2] < 0.9


def test_halves_of_noise_alone_are_as_alike_as_shuffled_ones() -> None:
    z_ND, concept_N = samples(0.0)
    noise_ND = torch.randn(z_ND.shape, generator=torch.Generator().manual_seed(1))
    (found,) = agreement_of_halves(noise_ND, concept_N, [12], 60, torch.Generator().manual_seed(0))
    assert abs(found.same[0] - found.chance[0]) < 0.05


def test_more_concepts_narrow_the_interval_and_lower_what_chance_gives() -> None:
    few, many = agreement_of_halves(*samples(0.8), [3, 12], 60, torch.Generator().manual_seed(0))
    assert many.same[2] - many.same[1] < few.same[2] - few.same[1]
    assert many.chance[0] < few.chance[0]


def test_concepts_with_one_sample_have_no_halves() -> None:
    z_ND, concept_N = samples(0.0, concepts=4, each=2)
    (found,) = agreement_of_halves(z_ND[:-1], concept_N[:-1], [3], 5, torch.Generator().manual_seed(0))
    np.testing.assert_allclose(found.same, 1, atol=1e-5)


def test_likeness_is_the_cosine_of_centred_means_of_unit_rows() -> None:
    z_ND, concept_N = samples(0.5, concepts=5)
    unit = z_ND.numpy() / np.linalg.norm(z_ND.numpy(), axis=1, keepdims=True)
    means = np.stack([unit[concept_N.numpy() == c].mean(0) for c in range(5)])
    centred = means - means.mean(0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    cosine_CC = alike(z_ND, concept_N, 6)
    np.testing.assert_allclose(cosine_CC[:5, :5], centred @ centred.T, atol=1e-5)
    assert not cosine_CC[5].any()
