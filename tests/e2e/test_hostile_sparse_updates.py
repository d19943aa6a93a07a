"""Sparse updates that are not what they must be are left out, each with its reason."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny_run import Arrays, against, edit, run_tiny

from concord.wire.v1 import federation_pb2 as pb

NODES = ("image-forms-a", "image-forms-b")
HOSTILE, NAME = 2, NODES[1]
Change = Callable[[pb.Report, Arrays], None]


def cut_short(report: pb.Report, arrays: Arrays) -> None:
    stream = report.groups[0].sparse.planes[0]
    stream.CopyFrom(pb.ByteStream(plain=(stream.plain or stream.huffman)[:-1]))


def count_beyond_the_group(report: pb.Report, arrays: Arrays) -> None:
    report.groups[0].sparse.count = 1 << 40


def scales_not_finite(report: pb.Report, arrays: Arrays) -> None:
    report.groups[0].sparse.scales[0] = math.nan


def scales_huge(report: pb.Report, arrays: Arrays) -> None:
    report.groups[0].sparse.scales[0] = 1e30


def no_sparse_update(report: pb.Report, arrays: Arrays) -> None:
    report.groups[0].ClearField("sparse")


def an_array_beside_it(report: pb.Report, arrays: Arrays) -> None:
    arrays[report.groups[0].manifest.group] = np.zeros(3, np.float32)


ATTACKS: dict[str, tuple[Change, str]] = {
    "cut short": (cut_short, "wrong-shape"),
    "count beyond the group": (count_beyond_the_group, "wrong-shape"),
    "scale not finite": (scales_not_finite, "wrong-shape"),
    "huge scale": (scales_huge, "large-norm"),
    "no sparse update": (no_sparse_update, "undecodable"),
    "an array beside it": (an_array_beside_it, "undecodable"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_bad_sparse_update_is_left_out(name: str, tmp_path: Path) -> None:
    change, reason = ATTACKS[name]
    result = run_tiny(
        tmp_path, {"method": "fedmchain", "local-steps": 1, "rounds": 1}, NODES, against(HOSTILE, edit(change), round_=1)
    )
    assert [(r.node, r.reason) for r in result.rejections] == [(NAME, reason)]


def test_a_sparse_update_that_nobody_asked_for_is_left_out(tmp_path: Path) -> None:
    def add(report: pb.Report, arrays: Arrays) -> None:
        report.groups[0].sparse.CopyFrom(pb.SparseUpdate(coding=pb.VALUE_CODING_FLOAT32))

    result = run_tiny(tmp_path, {"method": "fedavg", "local-steps": 1, "rounds": 1}, NODES, against(HOSTILE, edit(add), round_=1))
    assert [(r.node, r.reason) for r in result.rejections] == [(NAME, "undecodable")]
