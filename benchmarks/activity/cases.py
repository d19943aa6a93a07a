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
SIGNS: dict[str, Scalar] = {"aggregation.rule": "sparse-sign", "ssca.clusters": False, "ssca.clip": 1e6}
CENTRALISED_STEPS = 20 * 18  # one node takes as many batches of each modality as 18 nodes that hold all of them

FULL = Row("fedmchain", "fedmchain")
JOINT_ROW = Row("joint", "fedavg", JOINT)
PHASES_ROW = Row("phases alone", "fedmchain", {**DENSE, "fedmchain.regulariser": "none"})
METHOD_ROWS = (
    Row("centralised, joint", "centralised", {**JOINT, "local-steps": CENTRALISED_STEPS}),
    FULL,
    PHASES_ROW,
    JOINT_ROW,
    Row("joint, modality dropout", "fedavg", {**JOINT, "fusion.dropout": 0.3}),
    Row("joint, FedProx", "fedprox", JOINT),
    Row("late fusion", "fedavg"),
    Row("joint, top-k", "fedavg", {**JOINT, "update.values": "float32"}),
    Row("joint, sign election", "fedavg", {**JOINT, **SIGNS, "update.values": "float32", "update.density": 1.0}),
    Row("joint, sparse ternary", "fedavg", {**JOINT, "update.values": "sign"}),
)

ABLATION_RATE = 0.5
ABLATIONS = (
    Row("no regulariser", "fedmchain", {"fedmchain.regulariser": "none"}),
    Row("additive boosting", "fedmchain", {"fedmchain.regulariser": "boosting"}),
    Row("context: earlier modalities", "fedmchain", {"fedmchain.context": "earlier"}),
    Row("order: weakest first", "fedmchain", {"fedmchain.order": "weakest-first"}),
    Row("order: learning speed", "fedmchain", {"fedmchain.order": "learning-speed"}),
    Row("two passes a round", "fedmchain", {"fedmchain.passes": 2}),
    Row("no phases", "fedavg", {"aggregation.rule": "sparse-sign", "update.values": "int8"}),
    Row("no clipping to the median", "fedmchain", {"ssca.clip": 1e6}),
    Row("no clusters", "fedmchain", {"ssca.clusters": False}),
    Row("no election", "fedmchain", {"ssca.elect": False}),
    Row("top-k alone (mean)", "fedmchain", {"aggregation.rule": "mean"}),
    Row("dense, mean", "fedmchain", DENSE),
    Row("no error feedback", "fedmchain", {"update.error-feedback": False}),
    Row("density 0.01", "fedmchain", {"update.density": 0.01}),
    Row("density 0.2", "fedmchain", {"update.density": 0.2}),
    Row("signs with one scale", "fedmchain", {"update.values": "sign"}),
    Row("float32 values", "fedmchain", {"update.values": "float32"}),
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
