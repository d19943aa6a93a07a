"""Prototypes and embeddings that are not as they must be, or that nobody asked for, are left out with their reason."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_run import (
    FINAL,
    TRAIN,
    Arrays,
    Attack,
    against,
    edit,
    run_tiny,
)

from concord.wire.v1 import federation_pb2 as pb

NODES = ("image-forms-a", "image-forms-b", "word-west-europe")
HOSTILE, NAME = 2, NODES[1]


def prototypes(change: Callable[[pb.Prototypes], None]) -> Attack:
    return edit(lambda report, arrays: change(report.prototypes))


def narrow(message: pb.Prototypes) -> None:
    message.means.CopyFrom(pb.Matrix(rows=10, columns=1, values=[0.0] * 10))


def long_row(message: pb.Prototypes) -> None:
    message.means.values[0] = 3e38


def many(message: pb.Prototypes) -> None:
    message.counts[0] = 2**63


def few(message: pb.Prototypes) -> None:
    del message.counts[0]


@pytest.mark.parametrize(
    ("change", "reason"), [(narrow, "wrong-shape"), (long_row, "large-norm"), (many, "claimed-examples"), (few, "undecodable")]
)
def test_bad_prototypes_are_left_out(change: Callable[[pb.Prototypes], None], reason: str, tmp_path: Path) -> None:
    result = run_tiny(tmp_path, {"method": "fedproto"}, NODES[:2], against(HOSTILE, prototypes(change)))
    assert [(r.round, r.node, r.reason) for r in result.rejections] == [(2, NAME, reason)]


def narrow_embeddings(report: pb.Report, arrays: Arrays) -> None:
    rows = len(report.embeddings[0].labels)
    report.embeddings[0].pooled.CopyFrom(pb.Matrix(rows=rows, columns=1, values=[0.0] * rows))


def fewer_labels(report: pb.Report, arrays: Arrays) -> None:
    del report.embeddings[0].labels[0]


def nan_embeddings(report: pb.Report, arrays: Arrays) -> None:
    report.embeddings[0].pooled.values[0] = math.nan


def more_than_were_tested(report: pb.Report, arrays: Arrays) -> None:
    split = next(e for e in report.evaluations if e.modality == report.embeddings[0].modality).split
    report.embeddings[0].split = "all but " + split


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (narrow_embeddings, "wrong-shape"),
        (fewer_labels, "wrong-shape"),
        (nan_embeddings, "undecodable"),
        (more_than_were_tested, "claimed-examples"),
    ],
)
def test_bad_embeddings_of_the_final_evaluation_are_left_out(
    change: Callable[[pb.Report, Arrays], None], reason: str, tmp_path: Path
) -> None:
    result = run_tiny(tmp_path, {"rounds": 1}, NODES, against(HOSTILE, edit(change), kind=FINAL))
    assert [(r.round, r.node, r.reason) for r in result.rejections] == [(2, NAME, reason)]
    assert NAME not in result.node_accuracy
    assert "image->word" in result.retrieval["random"]["pooled"]


def some_embeddings(report: pb.Report, arrays: Arrays) -> None:
    report.embeddings.add(modality="image", split="random")


@pytest.mark.parametrize(("kind", "share", "round_"), [(FINAL, False, 2), (TRAIN, True, 1)])
def test_embeddings_that_nobody_asked_for_are_left_out(kind: str, share: bool, round_: int, tmp_path: Path) -> None:
    settings = {"rounds": 1, "share-test-embeddings": share}
    result = run_tiny(tmp_path, settings, NODES, against(HOSTILE, edit(some_embeddings), kind=kind, round_=round_))
    assert [(r.round, r.node, r.reason) for r in result.rejections] == [(round_, NAME, "undecodable")]


def unasked_prototypes(report: pb.Report, arrays: Arrays) -> None:
    report.prototypes.CopyFrom(pb.Prototypes(means=pb.Matrix(rows=10, columns=16, values=[0.0] * 160), counts=[0] * 10))


def loss_of_endless_name(report: pb.Report, arrays: Arrays) -> None:
    report.losses["x" * 129] = 0.5


@pytest.mark.parametrize(("change", "reason"), [(unasked_prototypes, "undecodable"), (loss_of_endless_name, "evaluation")])
def test_what_no_honest_node_says_is_left_out(change: Callable[[pb.Report, Arrays], None], reason: str, tmp_path: Path) -> None:
    result = run_tiny(tmp_path, {}, NODES[:2], against(HOSTILE, edit(change)))
    assert [(r.round, r.node, r.reason) for r in result.rejections] == [(2, NAME, reason)]
