"""The benchmarks of sparse updates at a small size: all ways are given the same, and what should agree does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import aggregation
from benchmarks.aggregation import WAYS, Measured, check_equal, measure, read_update, reports_in, write_updates
from benchmarks.sparse_wire import entropy, table, tensor_sizes

PARAMETERS, NODES = 3000, 6


@pytest.fixture
def updates(tmp_path: Path) -> Path:
    write_updates(tmp_path, NODES, PARAMETERS, 0.2)
    return tmp_path


def test_entropy_by_hand() -> None:
    assert entropy(np.array([0, 0, 7, 7], np.uint8)) == 1
    assert entropy(np.array([3, 3], np.uint8)) == 0
    assert sum(tensor_sizes(1001)) == 1001


def test_the_table_has_a_row_a_density_and_coding() -> None:
    assert len(table(1000).splitlines()) == 2 + 6 * 4


def test_ours_and_numpy_agree(updates: Path) -> None:
    found = {name: measure(name, updates, PARAMETERS, 1) for name in WAYS}
    check_equal(found["concord"], found["numpy"])
    assert len(aggregation.table(found, PARAMETERS).splitlines()) == 2 + len(WAYS)
    with pytest.raises(RuntimeError, match="disagree"):
        check_equal(found["concord"], replace(found["numpy"], norm=2 * found["numpy"].norm))


def test_flower_gives_the_weighted_mean_of_the_same_updates(updates: Path) -> None:
    dense, examples = zip(*(read_update(report, tensor_sizes(PARAMETERS)) for report in reports_in(updates)), strict=True)
    mean_P = np.average([update.dense().numpy() for update in dense], axis=0, weights=examples)
    assert measure("flower", updates, PARAMETERS, 1).norm == pytest.approx(float(np.linalg.norm(mean_P)), rel=1e-5)


def test_memory_is_told_in_dense_updates() -> None:
    found = dict.fromkeys(WAYS, Measured([1.0, 3.0, 2.0], peak=2**21, beside_inputs=4000, norm=1.0, projection=1.0))
    assert aggregation.table(found, 500).splitlines()[2] == "| Concord, from bytes | 2.00 | 1.00 | 2 | 0 | 2.0 |"
