"""What is compared on suite `emoji`: methods without pairs, and contrastive training where all pairs are in one place."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.sweep import SEEDS, Case, Row
from concord.config import Scalar

SUITE = "emoji"
CONTRASTIVE = "contrastive"  # no method of a federation: it needs pairs, and all of them in one place
COMMON = {"share-test-embeddings": True}
NODES, MODALITIES = 7, 3
CENTRALISED_STEPS = 20 * NODES // MODALITIES  # a step takes one batch of every modality: as many batches as seven nodes

# Its loss needs many other names in a batch, and a trunk that nothing has warmed up needs smaller steps.
WITH_PAIRS: dict[str, Scalar] = {"local-steps": CENTRALISED_STEPS, "adapter.kind": "full", "batch-size": 128, "lr": 1e-3}
CONTRASTIVE_ROW = "contrastive, centralised, with pairs"
METHOD_ROWS = (
    Row(CONTRASTIVE_ROW, CONTRASTIVE, WITH_PAIRS),
    Row("centralised", "centralised", {"local-steps": CENTRALISED_STEPS}),
    Row("geolora", "geolora"),
    Row("fedavg", "fedavg"),
    Row("fedavg, a head a modality", "fedavg", {"model.head": "modality"}),
)


def method_cases() -> Iterator[Case]:
    """Every run of the comparison, seed by seed."""
    for seed in SEEDS:
        for row in METHOD_ROWS:
            yield Case(SUITE, row, "labelled", seed, COMMON)
