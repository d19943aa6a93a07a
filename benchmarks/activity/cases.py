"""What is compared on suite `activity`: ways to train several modalities of the same samples, some of them missing.

All rows have an adapter and a head a modality. No node learns from anchors; the server warms the trunk up on them, for all
rows alike. Gradients are not clipped (a bound on all modalities together and one on each are not the same).
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.attacks import ATTACKS
from benchmarks.sweep import SEEDS, Case, Row
from concord.config import Scalar

SUITE = "activity"
SENSORS = ("accelerometer", "gyroscope", "magnetometer")
RATES = (0.0, 0.3, 0.5)
COMMON: dict[str, Scalar] = {"adapter.scope": "modality", "anchor-supervision": False, "clip-norm": 1e6}

DENSE: dict[str, Scalar] = {"update.values": "dense", "aggregation.rule": "mean"}
JOINT: dict[str, Scalar] = {"fusion.loss": "joint"}
WINNERS: dict[str, Scalar] = {"ssca.mean-over": "winners"}
TIES: dict[str, Scalar] = {**WINNERS, "aggregation.rule": "sparse-sign", "ssca.clusters": False, "ssca.clip": 1e6}
CENTRALISED_STEPS = 20 * 18  # one node takes as many batches of each modality as 18 nodes that hold all of them

# Chosen by the trials: half the rounds with twice the local steps, and more sent in each.
CHAIN: dict[str, Scalar] = {"rounds": 6, "local-steps": 40, "update.values": "int8", "update.density": 0.14}

FULL = Row("fedmchain", "fedmchain", CHAIN)
JOINT_ROW = Row("joint", "fedavg", JOINT)
PHASES_ROW = Row("phases alone", "fedmchain", {**DENSE, "fedmchain.regulariser": "none"})
LATE_FUSION_ROW = Row("late fusion", "fedavg")
DENSE_ROW = Row("dense, mean", "fedmchain", {**CHAIN, **DENSE})
METHOD_ROWS = (
    Row("centralised, joint", "centralised", {**JOINT, "local-steps": CENTRALISED_STEPS}),
    FULL,
    PHASES_ROW,
    JOINT_ROW,
    Row("joint, modality dropout", "fedavg", {**JOINT, "fusion.dropout": 0.3}),
    Row("joint, FedProx", "fedprox", JOINT),
    LATE_FUSION_ROW,
    Row("joint, top-k", "fedavg", {**JOINT, "update.values": "float32", "update.density": 0.1}),
    Row("joint, sign election", "fedavg", {**JOINT, **TIES, "update.values": "float32", "update.density": 1.0}),
    Row("joint, sparse ternary", "fedavg", {**JOINT, "update.values": "sign", "update.density": 0.1}),
)

ABLATION_RATE = 0.5
CHANGES: dict[str, dict[str, Scalar]] = {
    "no regulariser": {"fedmchain.regulariser": "none"},
    "residual weighting": {"fedmchain.regulariser": "residual"},
    "context: earlier modalities": {"fedmchain.context": "earlier"},
    "order: weakest first": {"fedmchain.order": "weakest-first"},
    "order: learning speed": {"fedmchain.order": "learning-speed"},
    "two passes a round": {"fedmchain.passes": 2},
    "no clipping to the median": {"ssca.clip": 1e6},
    "no clusters": {"ssca.clusters": False},
    "no election": {"ssca.elect": False},
    "mean over the winners": WINNERS,
    "top-k alone (mean)": {"aggregation.rule": "mean"},
    "no error feedback": {"update.error-feedback": False},
    "density 0.05": {"update.density": 0.05},
    "density 0.3": {"update.density": 0.3},
    "sign values, density 0.25": {"update.values": "sign", "update.density": 0.25},
    "12 rounds of 20 steps": {"rounds": 12, "local-steps": 20},
}
ABLATIONS = (
    *(Row(name, "fedmchain", {**CHAIN, **change}) for name, change in CHANGES.items()),
    Row("no phases", "fedavg", {**CHAIN, "aggregation.rule": "sparse-sign"}),
    DENSE_ROW,
)

VALIDATION_SUITE = "activity-validation"
VALIDATION_SEEDS = (100, 101)  # that no result uses
SIGNS: dict[str, Scalar] = {"update.values": "sign", "update.density": 0.1}  # 12 rounds of 20 steps
FEWER: dict[str, Scalar] = {"rounds": 6, "local-steps": 40}
FEWEST: dict[str, Scalar] = {"rounds": 4, "local-steps": 60}
TRIALS = (
    FULL,
    JOINT_ROW,
    LATE_FUSION_ROW,
    Row("late fusion, 6 rounds of 40 steps", "fedavg", FEWER),
    Row("dense, mean", "fedmchain", DENSE),
    Row("dense, mean, 6 rounds of 40 steps", "fedmchain", {**DENSE, **FEWER}),
    Row("signs, density 0.1", "fedmchain", SIGNS),
    Row("signs, density 1", "fedmchain", {**SIGNS, "update.density": 1.0}),
    Row("signs, density 1, 6 rounds of 40 steps", "fedmchain", {**SIGNS, **FEWER, "update.density": 1.0}),
    Row("signs, density 0.25, 6 rounds of 40 steps", "fedmchain", {**SIGNS, **FEWER, "update.density": 0.25}),
    Row("signs, density 0.4, 4 rounds of 60 steps", "fedmchain", {**SIGNS, **FEWEST, "update.density": 0.4}),
    Row("density 0.25", "fedmchain", {**CHAIN, "update.density": 0.25}),
    Row("density 0.15", "fedmchain", {**CHAIN, "update.density": 0.15}),
    Row("density 0.15, mean", "fedmchain", {**CHAIN, "update.density": 0.15, "aggregation.rule": "mean"}),
    Row("density 0.25, 4 rounds of 60 steps", "fedmchain", {**CHAIN, **FEWEST, "update.density": 0.25}),
)

ATTACKED = (FULL, JOINT_ROW, PHASES_ROW)


def scenario(rate: float) -> str:
    """The scenario in which nodes lack modalities at that rate."""
    return f"missing={rate}" if rate else "labelled"


def method_cases() -> Iterator[Case]:
    """Every run of the comparison of methods, seed by seed."""
    for seed in SEEDS:
        for rate in RATES:
            for row in METHOD_ROWS:
                yield Case(SUITE, row, scenario(rate), seed, COMMON)


def ablation_cases() -> Iterator[Case]:
    """Every run of the ablations and of the attacks, seed by seed; the runs that they are compared with are in `method_cases`."""
    for seed in SEEDS:
        for kind in ATTACKS:
            for row in ATTACKED:
                yield Case(SUITE, row, scenario(ABLATION_RATE), seed, COMMON, kind)
        for row in ABLATIONS:
            yield Case(SUITE, row, scenario(ABLATION_RATE), seed, COMMON)


def trial_cases() -> Iterator[Case]:
    """Every run that settings were chosen by, seed by seed."""
    for seed in VALIDATION_SEEDS:
        for row in TRIALS:
            yield Case(VALIDATION_SUITE, row, scenario(ABLATION_RATE), seed, COMMON)
