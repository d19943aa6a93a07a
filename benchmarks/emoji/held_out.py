"""How well a model finds pictures by names and names by pictures, of concepts that were in no training.

Two questions, each between every pair of modalities: is what is found of the same subgroup, and is it the same concept.

Legend: N samples, D width.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import permutations

import torch
from torch import Tensor

from client_app.data.federation import Federation, pool
from client_app.data.readers.emoji import concept_of
from concord.functional.retrieval import retrieval_scores
from concord.samples import Samples

SPLIT = "unseen"
Embed = Callable[[str, Samples], Tensor]  # from a modality and its samples to [N, D]
Scores = dict[str, float]


def held_out_figures(federation: Federation, embed: Embed) -> dict[str, Scores]:
    """By ``query->gallery`` what `scores` says."""
    tests = pool(federation.nodes).tests[SPLIT]
    z = {modality: embed(modality, samples) for modality, samples in tests.items()}
    concept = {modality: torch.tensor([concept_of(i) for i in samples.ids]) for modality, samples in tests.items()}
    return {
        f"{q}->{g}": scores(z[q], z[g], (tests[q].y, tests[g].y), (concept[q], concept[g])) for q, g in permutations(tests, 2)
    }


def scores(query_ND: Tensor, gallery_MD: Tensor, subgroup: tuple[Tensor, Tensor], concept: tuple[Tensor, Tensor]) -> Scores:
    """Precision at 10 by subgroup and mean average precision by concept, and what chance gives for each.

    Queries of which the gallery has no sample of the concept are left out.
    """
    there_N = torch.isin(concept[0], concept[1])
    query_ND, subgroup_N, concept_N = query_ND[there_N], subgroup[0][there_N], concept[0][there_N]
    precision, _ = retrieval_scores(query_ND, subgroup_N, gallery_MD, subgroup[1])
    _, exact = retrieval_scores(query_ND, concept_N, gallery_MD, concept[1])
    like_N = (subgroup_N[:, None] == subgroup[1]).double().mean(1)
    same_N = (concept_N[:, None] == concept[1]).sum(1)
    chance = [expected_average_precision(same, len(gallery_MD)) for same in same_N.tolist()]
    return {
        "subgroup-precision-at-10": precision,
        "subgroup-chance": float(like_N.mean()),
        "concept-map": exact,
        "concept-chance": math.fsum(chance) / len(chance),
    }


def expected_average_precision(relevant: int, size: int) -> float:
    """Of a random ranking of `size` items with so many relevant ones; with one, the expected reciprocal rank."""
    harmonic = math.fsum(1 / rank for rank in range(1, size + 1))
    others = (relevant - 1) / max(1, size - 1)
    return (others * (size - harmonic) + harmonic) / size
