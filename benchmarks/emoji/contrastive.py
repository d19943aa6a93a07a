"""What pairs would give: contrastive training of picture and name (Radford et al. 2021), all data in one place.

The encoders, the trunk and the optimiser of the federated runs; a batch has concepts that are not held out, each with a picture
of each maker that has drawn it and with its name in a random language.

Legend: B concepts of a batch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from benchmarks.emoji.held_out import held_out_figures
from client_app.data.cache import load_corpus
from client_app.data.corpus import Corpus
from client_app.data.emoji import EMOJI_SUITE, UNSEEN
from client_app.data.federation import build_federation
from client_app.data.readers.emoji import concept_of
from client_app.measure import embed_all
from client_app.model import MultimodalModel, trainable_parameters
from client_app.schedules.descent import Descent
from client_app.views import LABELLED
from concord.config import RunConfig
from concord.functional.contrast import symmetric_info_nce
from concord.samples import Samples
from concord.seeding import generator_for

NAMES, TEMPERATURE = "text", 0.1
CPU = torch.device("cpu")
Rows = Mapping[int, Sequence[int]]  # by concept the rows of its samples


def run_contrastive(config: RunConfig) -> dict[str, Any]:
    """The figures on held-out concepts after `rounds` times `local-steps` steps."""
    federation = build_federation(config.suite, Path(config.data), config.seed, config.scenario)
    corpora = {modality.name: load_corpus(modality.reader, Path(config.data)) for modality in EMOJI_SUITE.modalities}
    rows = {name: known_rows(corpus) for name, corpus in corpora.items()}
    model = MultimodalModel(config, list(corpora), len(EMOJI_SUITE.concepts))
    generator = generator_for(config.seed, "batches", "contrastive")
    for round_ in range(1, config.rounds + 1):
        descent = Descent(trainable_parameters(model), config, round_)
        model.train()
        for _ in range(config.local_steps):
            descent.step(partial(terms, model, corpora, rows, config.batch_size, generator))

    def embed(modality: str, samples: Samples) -> Tensor:
        return embed_all(model, modality, samples, CPU)

    return {"held-out": held_out_figures(federation, embed)}


def known_rows(corpus: Corpus) -> Rows:
    """The samples of each concept that is not held out."""
    rows: dict[int, list[int]] = defaultdict(list)
    for row, (name, owner) in enumerate(zip(corpus.samples.ids, corpus.owners, strict=True)):
        if owner.partition("/")[0] not in UNSEEN:
            rows[concept_of(name)].append(row)
    return rows


def terms(
    model: MultimodalModel, corpora: Mapping[str, Corpus], rows: Mapping[str, Rows], size: int, generator: Generator
) -> list[tuple[str, Tensor]]:
    """For each maker the loss of telling its pictures' names apart, and back."""
    found = []
    for maker in (name for name in corpora if name != NAMES):
        concepts = sorted(rows[maker])
        chosen_B = [concepts[i] for i in torch.randperm(len(concepts), generator=generator)[:size].tolist()]
        views = [_embedded(model, name, corpora[name], rows[name], chosen_B, generator) for name in (maker, NAMES)]
        found.append((maker, symmetric_info_nce(views[0], views[1], TEMPERATURE)))
    return found


def _embedded(
    model: MultimodalModel, modality: str, corpus: Corpus, rows: Rows, concepts: Sequence[int], generator: Generator
) -> Tensor:
    """Embeddings of a random view of a random sample of each concept."""
    drawn = [rows[c][int(torch.randint(len(rows[c]), (), generator=generator))] for c in concepts]
    return model.embed(modality, model.encoders[modality].augment(corpus.samples.x[drawn], LABELLED, generator))
