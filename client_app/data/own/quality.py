"""How good an anchor set is, before anything is trained: who covers what, which concepts look alike, how stable CKA is.

Samples are seen as a run sees them in its first round: through the model with the weights that its seed gives. Raw inputs
would not do for words, whose character codes are no magnitudes, and a trained model is not there yet. Training separates
concepts further, so what is told here is the least that can be expected.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from client_app.data.own.problem import Problem, Severity
from client_app.measure import embed_all
from client_app.model import MultimodalModel
from concord.anchors import AnchorSet
from concord.config import RunConfig
from concord.functional.stability import FEWEST, Agreement, agreement_of_halves, alike
from concord.own import with_encoders
from concord.seeding import generator_for

ALIKE = 0.95  # cosine of centred concept means; of ten digits in five modalities the most alike have 0.89
DRAWS = 40
STEPS = 8  # sizes for which stability is measured


@dataclass(frozen=True)
class Quality:
    """What there is to know of one modality.

    Attributes:
        samples: anchors.
        covered: concepts that have one or more.
        fewest: samples of the concept with the fewest, of those covered.
        most_alike: cosine of the two concepts that are most alike, and their names.
        agreement: of two halves of the samples, by number of concepts; nothing where too few have two samples.
    """

    samples: int
    covered: int
    fewest: int
    most_alike: tuple[float, str, str]
    agreement: tuple[Agreement, ...]

    @property
    def is_stable(self) -> bool:
        """Whether the halves of all concepts agree by more than shuffled ones do, beyond the draws."""
        return bool(self.agreement) and self.agreement[-1].same[1] > self.agreement[-1].chance[2]


def assess(anchors: AnchorSet, seed: int) -> tuple[dict[str, Quality], list[Problem]]:
    """The quality of each modality, and what is to be said about the set."""
    config = with_encoders(RunConfig(seed=seed), anchors)
    model = MultimodalModel(config, sorted(anchors.modalities), len(anchors.concepts))
    qualities, problems = {}, _about_coverage(anchors)
    for modality, samples in anchors.modalities.items():
        z_ND = embed_all(model, modality, samples, torch.device("cpu"))
        cosine_CC = alike(z_ND, samples.y, len(anchors.concepts)).triu(1)
        count_C = samples.y.bincount(minlength=len(anchors.concepts))
        agreement = _agreement(z_ND, samples.y, seed, modality)
        one, other = divmod(int(cosine_CC.argmax()), len(anchors.concepts))
        most = (float(cosine_CC.max()), anchors.concepts[one], anchors.concepts[other])
        fewest = int(count_C[count_C > 0].min())
        qualities[modality] = Quality(len(samples), int((count_C > 0).sum()), fewest, most, agreement)
        problems += _about_likeness(anchors, modality, cosine_CC)
        problems += _about_stability(modality, qualities[modality])
    return qualities, problems


def _agreement(z_ND: Tensor, y_N: Tensor, seed: int, modality: str) -> tuple[Agreement, ...]:
    halved = int((y_N.bincount() > 1).sum())
    if halved < FEWEST:
        return ()
    sizes = sorted({round(FEWEST * (halved / FEWEST) ** (step / (STEPS - 1))) for step in range(STEPS)})
    return tuple(agreement_of_halves(z_ND, y_N, sizes, DRAWS, generator_for(seed, "halves", modality)))


def _about_coverage(anchors: AnchorSet) -> list[Problem]:
    held = {modality: set(samples.y.tolist()) for modality, samples in anchors.modalities.items()}
    problems = []
    for number, concept in enumerate(anchors.concepts):
        having = [modality for modality, concepts in held.items() if number in concepts]
        if len(having) == len(held):
            continue
        lacking = ", ".join(modality for modality in held if modality not in having)
        hint = "add a public sample, or build the set without the concept"
        severity: Severity = "note" if having else "error"
        problems.append(Problem(concept, severity, "coverage", f"no sample of {lacking}", hint))
    names = list(held)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            if (common := len(held[one] & held[other])) < FEWEST:
                message = f"{common} concepts in common, and fewer than {FEWEST} cannot be compared"
                problems.append(
                    Problem(f"{one}, {other}", "error", "coverage", message, "add public samples of the same concepts")
                )
    return problems


def _about_likeness(anchors: AnchorSet, modality: str, cosine_CC: Tensor) -> list[Problem]:
    hint = "give them more or clearer samples; or make them one concept, if they are one"
    return [
        Problem(f"{anchors.concepts[i]}, {anchors.concepts[j]}", "note", "alike", f"{cosine_CC[i, j]:.3f} in {modality}", hint)
        for i, j in torch.nonzero(cosine_CC > ALIKE).tolist()
    ]


def _about_stability(modality: str, quality: Quality) -> list[Problem]:
    if not quality.agreement:
        what = f"fewer than {FEWEST} concepts have two samples, so nothing can be said about stability"
    elif not quality.is_stable:
        low, high = quality.agreement[-1].same[1], quality.agreement[-1].chance[2]
        what = f"untrained, halves of the samples agree by {low:.2f} or more, and shuffled ones by up to {high:.2f}"
    else:
        return []
    return [Problem(modality, "note", "unstable", what, "add samples of each concept, then concepts")]
