"""How far a set of anchors is from saying the same twice: CKA between Grams of two halves of its samples. Source: ours.

Each concept's samples are split at random into two halves, which stand for two parties with other samples of the same
concepts. How alike their Grams are bounds what alignment can be told from noise; how alike they would be with the concepts
of one of them shuffled is what unrelated spaces give, which biased CKA puts well above zero where concepts are few.

Legend: N samples, D width, C concepts, R draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from concord.functional.gram import cka, concept_means, gram
from concord.functional.rows import unit_rows

INTERVAL = (0.025, 0.975)
FEWEST = 3  # concepts: two always agree


@dataclass(frozen=True)
class Agreement:
    """CKA over draws of `concepts` concepts: the mean, and the interval that holds 95 % of the draws.

    Attributes:
        same: mean, lower and upper end between halves of the same concepts.
        chance: the same with the concepts of one half shuffled.
    """

    concepts: int
    same: tuple[float, float, float]
    chance: tuple[float, float, float]


def agreement_of_halves(
    z_ND: Tensor, concept_N: Tensor, sizes: Sequence[int], draws: int, generator: Generator
) -> list[Agreement]:
    """How alike two halves of the samples are, by the number of concepts that are taken.

    Args:
        z_ND: embeddings, shape [N, D].
        concept_N: concept of each, shape [N], int64.
        sizes: numbers of concepts, from `FEWEST` to those that have two samples or more.
        draws: R, of concepts and of halves.
        generator: source of all draws.
    """
    known = torch.nonzero(concept_N.bincount() > 1).flatten()
    found = []
    for size in sizes:
        same_R, chance_R = torch.empty(draws), torch.empty(draws)
        for draw in range(draws):
            chosen = known[torch.randperm(len(known), generator=generator)[:size]]
            one_CC, other_CC = (gram(half_CD) for half_CD in _halves(z_ND, concept_N, chosen, generator))
            shuffled = torch.randperm(size, generator=generator)
            same_R[draw] = cka(one_CC, other_CC)
            chance_R[draw] = cka(one_CC, other_CC[shuffled][:, shuffled])
        found.append(Agreement(size, _summary(same_R), _summary(chance_R)))
    return found


def alike(z_ND: Tensor, concept_N: Tensor, concepts: int) -> Tensor:
    """Cosines [C, C] between concept means after their common mean is taken off; zero for concepts without a sample.

    What all concepts share would make any two look alike, and CKA takes it off too.
    """
    mean_CD, held_C = concept_means(z_ND, concept_N, concepts)
    centred_CD = torch.where(held_C[:, None], mean_CD - mean_CD[held_C].mean(0), torch.zeros(()))
    unit_CD = unit_rows(centred_CD)
    return unit_CD @ unit_CD.T


def _halves(z_ND: Tensor, concept_N: Tensor, chosen: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Concept means [C, D] of two halves of the samples of each chosen concept."""
    one, other = [], []
    for concept in chosen.tolist():
        index = torch.nonzero(concept_N == concept).flatten()
        index = index[torch.randperm(len(index), generator=generator)]
        one.append(index[: len(index) // 2])
        other.append(index[len(index) // 2 :])
    return _means(z_ND, one), _means(z_ND, other)


def _means(z_ND: Tensor, parts: Sequence[Tensor]) -> Tensor:
    place_N = torch.repeat_interleave(torch.arange(len(parts)), torch.tensor([len(part) for part in parts]))
    return concept_means(z_ND[torch.cat(list(parts))], place_N, len(parts))[0]


def _summary(cka_R: Tensor) -> tuple[float, float, float]:
    low, high = cka_R.quantile(torch.tensor(INTERVAL)).tolist()
    return float(cka_R.mean()), low, high
