"""What is compared on suite `digits`: methods in scenarios, and the ablations of GeoLoRA.

A case is one run: a row (method and settings), a scenario and a seed. Some runs are the same by construction and are
done once: see `STANDS_FOR`.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.sweep import SEEDS, Case, Row

SUITE = "digits"
COMMON = {"share-test-embeddings": True}
MODALITIES = ("speech", "image", "pen", "sign", "word")
UNLABELLED = "unlabelled=speech"
SCENARIOS = ("labelled", UNLABELLED, "disjoint-labels", "local-heads")
NODES = 13
CENTRALISED_STEPS = 20 * NODES // len(MODALITIES)  # a step takes one batch of every modality: as many batches as 13 nodes


METHOD_ROWS = (
    Row("centralised", "centralised", {"local-steps": CENTRALISED_STEPS}),
    Row("geolora", "geolora"),
    Row("fedavg", "fedavg"),
    Row("fedavg, a head a modality", "fedavg", {"model.head": "modality"}),
    Row("fedproto", "fedproto"),
    Row("self-training", "self-training"),
    Row("local", "local"),
    Row("anchors-only", "anchors-only"),
)

# (row, scenario) -> scenario of the run that stands for it: heads that never travel make local-heads the same as
# labelled, a node that learns from its anchors alone sees no labels of its own, and without unlabelled samples
# self-training is local.
STANDS_FOR: dict[tuple[str, str], tuple[str, str]] = {
    **{("anchors-only", scenario): ("anchors-only", "labelled") for scenario in SCENARIOS},
    **{(row, "local-heads"): (row, "labelled") for row in ("centralised", "fedproto", "local")},
    ("fedavg, a head a modality", "local-heads"): ("fedavg", "local-heads"),
    ("self-training", "labelled"): ("local", "labelled"),
    ("self-training", "local-heads"): ("local", "labelled"),
}

ABLATION_SCENARIO = UNLABELLED
ABLATIONS = (
    Row("no pseudo-labels", "geolora", {"geolora.pseudo-labels": "none"}),
    Row("pseudo-labels from anchor coordinates", "geolora", {"geolora.pseudo-labels": "anchors"}),
    Row("pseudo-labels without a prior", "geolora", {"geolora.prior": "none"}),
    Row("pseudo-labels without strong views", "geolora", {"geolora.consistency": False}),
    Row("all pseudo-labels from round 1", "geolora", {"geolora.pseudo-share": 1.0}),
    Row("no CKA term", "geolora", {"geolora.cka-weight": 0.0}),
    Row("no frame", "geolora", {"geolora.frame-weight": 0.0}),
    Row("frame by 1 - cos", "geolora", {"geolora.frame-loss": "cosine", "geolora.frame-weight": 1.0}),
    Row("neither CKA nor frame", "geolora", {"geolora.cka-weight": 0.0, "geolora.frame-weight": 0.0}),
    Row("unbiased HSIC", "geolora", {"geolora.hsic": "unbiased"}),
    Row("consensus by precision", "geolora", {"geolora.consensus": "precision"}),
    Row("consensus without own modality", "geolora", {"geolora.consensus": "leave-own-out"}),
    Row("plain mean", "geolora", {"aggregation.rule": "mean"}),
    Row("precision from MC dropout", "geolora", {"precision.estimate": "mc-dropout"}),
    Row("precision from Fisher information", "geolora", {"precision.estimate": "fisher"}),
    Row("shares of nodes without a cap", "geolora", {"aggregation.max-share": 1.0}),
    Row("a head a modality", "geolora", {"model.head": "modality"}),
    Row("LoRA (no magnitude)", "geolora", {"adapter.kind": "lora"}),
    Row("whole trunk trained", "geolora", {"adapter.kind": "full"}),
    Row("A trained, exact low-rank average", "geolora", {"adapter.train-a": True, "aggregation.rule": "low-rank"}),
    Row("A trained, factors averaged", "geolora", {"adapter.train-a": True, "aggregation.rule": "mean"}),
    Row("rank 4 for speech and word", "geolora", {"adapter.rank-by-modality": "speech=4,word=4"}),
    Row("no warm-up of the trunk", "geolora", {"warmup.steps": 0}),
    Row("anchors are not learnt from", "geolora", {"anchor-supervision": False}),
    Row("no augmentation", "geolora", {"augment": False}),
)


def method_cases() -> Iterator[Case]:
    """Every run of the comparison of methods, seed by seed."""
    for seed in SEEDS:
        for scenario in SCENARIOS:
            for row in METHOD_ROWS:
                if STANDS_FOR.get((row.name, scenario), (row.name, scenario)) == (row.name, scenario):
                    yield Case(SUITE, row, scenario, seed, COMMON)


def ablation_cases() -> Iterator[Case]:
    """Every run of the ablations, seed by seed; the full method is in `method_cases`."""
    for seed in SEEDS:
        for row in ABLATIONS:
            yield Case(SUITE, row, ABLATION_SCENARIO, seed, COMMON)
