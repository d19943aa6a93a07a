"""What a node measures of a model: accuracy, the Gram of its anchors, predictive variance, test embeddings.

Legend: N samples, C concepts, D width, T dropout draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from client_app.instances import instances_named, summed_logits
from client_app.model import MultimodalModel
from concord.functional.gram import concept_means
from concord.functional.precision import fisher_trace, laplace_variance, mc_dropout_variance
from concord.functional.prototypes import anchor_assignment, class_prototypes
from concord.functional.ranking import RankingSums
from concord.samples import FUSED, Samples
from concord.seeding import seeded
from concord.wire.messages import matrix_to_wire
from concord.wire.v1 import federation_pb2 as pb

EVALUATION_BATCH = 256
VARIANCE_SAMPLES = 256  # training samples behind the Laplace approximation
DROPOUT_DRAWS, DROPOUT_RATE = 16, 0.2


@torch.no_grad()
def embed_all(model: MultimodalModel, modality: str, samples: Samples, device: torch.device) -> Tensor:
    """Embeddings of all samples, [N, D], without gradients, in evaluation mode."""
    model.eval()
    parts = [model.embed(modality, x.to(device)) for x in samples.x.split(EVALUATION_BATCH)]
    return torch.cat(parts)


@torch.no_grad()
def classify_all(model: MultimodalModel, modality: str, samples: Samples, device: torch.device) -> Tensor:
    """Logits of all samples, [N, C], without gradients, in evaluation mode."""
    return model.classify(modality, embed_all(model, modality, samples, device))


def evaluate(
    model: MultimodalModel, modality: str, split: str, samples: Samples, device: torch.device
) -> tuple[pb.Evaluation, Tensor, Tensor]:
    """Correct predictions and summed cross-entropy on labelled samples, their logits [N, C] and embeddings [N, D]."""
    z_ND = embed_all(model, modality, samples, device)
    with torch.no_grad():
        logits_NC = model.classify(modality, z_ND)
    return evaluation_message(modality, split, logits_NC, samples.y.to(device)), logits_NC, z_ND


def evaluate_fused(split: str, tests: Mapping[str, Samples], logits: Mapping[str, Tensor], ids: Sequence[str]) -> pb.Evaluation:
    """Correct predictions on instances, from the logits of all modalities that each has, summed.

    Args:
        split: of the tests.
        tests: per modality the M test samples.
        logits: their logits [M, C], for those modalities that have any.
        ids: the instances.
    """
    instances = instances_named(tests, ids)
    classes = next(iter(logits.values())).shape[1]
    logits_NC = summed_logits([(logits[m], instances.rows[m]) for m in logits], len(ids), classes)
    return evaluation_message(FUSED, split, logits_NC, instances.y_N)


def evaluation_message(modality: str, split: str, logits_NC: Tensor, y_N: Tensor) -> pb.Evaluation:
    """What logits [N, C] are worth on samples of classes y [N]."""
    named_N, classes = logits_NC.argmax(1), logits_NC.shape[1]
    hits_N = named_N == y_N
    counts = pb.ClassCounts(
        hits=torch.bincount(y_N[hits_N], minlength=classes).tolist(),
        predicted=torch.bincount(named_N, minlength=classes).tolist(),
        actual=torch.bincount(y_N, minlength=classes).tolist(),
    )
    loss = float(F.cross_entropy(logits_NC, y_N, reduction="sum"))
    return pb.Evaluation(
        modality=modality, split=split, correct=int(hits_N.sum()), examples=len(y_N), loss_sum=loss, classes=counts
    )


def ranking_message(kind: str, split: str, sums: RankingSums) -> pb.Ranking:
    """How high the right answers to one kind of questions ranked."""
    return pb.Ranking(
        kind=kind,
        split=split,
        questions=sums.questions,
        reciprocal_ranks=sums.reciprocal_ranks,
        first=sums.first,
        among_ten=sums.among_ten,
        chance=sums.chance,
    )


def anchor_means(
    model: MultimodalModel, modality: str, anchors: Samples, concepts: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Mean embedding of each concept's anchors [C, D] and which concepts have any [C]."""
    return concept_means(embed_all(model, modality, anchors, device), anchors.y.to(device), concepts)


def embeddings_message(
    modality: str, split: str, z_ND: Tensor, labels: Tensor, means_CD: Tensor, mask_C: Tensor
) -> pb.Embeddings:
    """Test embeddings and their anchor coordinates, for the retrieval figures."""
    return pb.Embeddings(
        modality=modality,
        split=split,
        pooled=matrix_to_wire(z_ND),
        coordinates=matrix_to_wire(anchor_assignment(z_ND, means_CD, mask_C)),
        labels=labels.tolist(),
    )


def predictive_variance(
    model: MultimodalModel,
    samples: Mapping[str, Samples],
    anchors: Mapping[str, Samples],
    estimate: str,
    purpose: tuple[str | int, ...],
    device: torch.device,
) -> float:
    """Mean over the node's modalities of the predictive variance on the public anchors.

    Args:
        estimate: ``laplace``, ``mc-dropout``, or ``fisher`` (curvature, not noise: an ablation).
        purpose: what the dropout draws depend on.
    """
    variances = []
    for modality, part in samples.items():
        known = part.take(range(min(VARIANCE_SAMPLES, len(part))))
        query_MD = embed_all(model, modality, anchors[modality], device)
        if estimate == "laplace":
            variances.append(laplace_variance(embed_all(model, modality, known, device), query_MD))
        elif estimate == "mc-dropout":
            with seeded(*purpose, modality), torch.no_grad():
                draws = [F.dropout(query_MD.cpu(), DROPOUT_RATE) for _ in range(DROPOUT_DRAWS)]
                probability_TMC = torch.stack([model.classify(modality, z.to(device)).softmax(1) for z in draws])
            variances.append(mc_dropout_variance(probability_TMC))
        else:
            with torch.no_grad():
                variances.append(fisher_trace(model.classify(modality, query_MD), query_MD))
    return float(torch.stack(variances).mean())


def local_prototypes(
    model: MultimodalModel, samples: Mapping[str, Samples], anchors: Mapping[str, Samples], concepts: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Class means over the labelled samples of all modalities [C, D] and their counts [C].

    A modality without a single label gives the means of its anchors.
    """
    z, y = [], []
    for modality, part in samples.items():
        known = part if bool((part.y >= 0).any()) else anchors[modality]
        z.append(embed_all(model, modality, known, device))
        y.append(known.y.to(device))
    return class_prototypes(torch.cat(z), torch.cat(y), concepts)
