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

FULL = Row("fedmchain", "fedmchain")
JOINT_ROW = Row("joint", "fedavg", JOINT)
PHASES_ROW = Row("phases alone", "fedmchain", {**DENSE, "fedmchain.regulariser": "none"})
LATE_FUSION_ROW = Row("late fusion", "fedavg")
DENSE_ROW = Row("dense, mean", "fedmchain", DENSE)
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
ABLATIONS = (
    Row("no regulariser", "fedmchain", {"fedmchain.regulariser": "none"}),
    Row("residual weighting", "fedmchain", {"fedmchain.regulariser": "residual"}),
    Row("context: earlier modalities", "fedmchain", {"fedmchain.context": "earlier"}),
    Row("order: weakest first", "fedmchain", {"fedmchain.order": "weakest-first"}),
    Row("order: learning speed", "fedmchain", {"fedmchain.order": "learning-speed"}),
    Row("two passes a round", "fedmchain", {"fedmchain.passes": 2}),
    Row("no phases", "fedavg", {"aggregation.rule": "sparse-sign", "update.values": "sign"}),
    Row("no clipping to the median", "fedmchain", {"ssca.clip": 1e6}),
    Row("no clusters", "fedmchain", {"ssca.clusters": False}),
    Row("no election", "fedmchain", {"ssca.elect": False}),
    Row("mean over the winners", "fedmchain", WINNERS),
    Row("top-k alone (mean)", "fedmchain", {"aggregation.rule": "mean"}),
    DENSE_ROW,
    Row("no error feedback", "fedmchain", {"update.error-feedback": False}),
    Row("density 0.01", "fedmchain", {"update.density": 0.01}),
    Row("density 0.05", "fedmchain", {"update.density": 0.05}),
    Row("density 0.2", "fedmchain", {"update.density": 0.2}),
    Row("int8 values", "fedmchain", {"update.values": "int8"}),
    Row("float32 values", "fedmchain", {"update.values": "float32"}),
)

VALIDATION_SUITE = "activity-validation"
VALIDATION_SEEDS = (100, 101)  # that no result uses
TRIALS = (
    FULL,
    JOINT_ROW,
    LATE_FUSION_ROW,
    PHASES_ROW,
    DENSE_ROW,
    Row("dense, mean, residual", "fedmchain", {**DENSE, "fedmchain.regulariser": "residual"}),
    Row("mean", "fedmchain", {"aggregation.rule": "mean"}),
    Row("residual", "fedmchain", {"fedmchain.regulariser": "residual"}),
    Row("boosting, weight 1", "fedmchain", {"fedmchain.weight": 1.0}),
    Row("server-lr 2", "fedmchain", {"ssca.server-lr": 2.0}),
    Row("winners, server-lr 0.3", "fedmchain", {**WINNERS, "ssca.server-lr": 0.3}),
    Row("winners, server-lr 1", "fedmchain", WINNERS),
    Row("no clusters", "fedmchain", {"ssca.clusters": False}),
    Row("int8, density 0.05", "fedmchain", {"update.values": "int8", "update.density": 0.05}),
    Row("6 rounds of 40 steps, density 0.25", "fedmchain", {"rounds": 6, "local-steps": 40, "update.density": 0.25}),
    Row("4 rounds of 60 steps, density 0.4", "fedmchain", {"rounds": 4, "local-steps": 60, "update.density": 0.4}),
    Row("late fusion, 6 rounds of 40 steps", "fedavg", {"rounds": 6, "local-steps": 40}),
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
