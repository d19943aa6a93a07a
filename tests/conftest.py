"""For all tests: one thread, no telemetry, and caches and run folders of the session's own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import hypothesis
import pytest
import torch

os.environ |= {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1", "OMP_NUM_THREADS": "1"}  # read on import

hypothesis.settings.register_profile("concord", deadline=None, derandomize=True)
hypothesis.settings.load_profile("concord")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--regenerate-golden", action="store_true", help="write tests/e2e/golden/*.json anew instead of comparing")


@pytest.fixture(scope="session", autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONCORD_CACHE", str(tmp_path_factory.mktemp("features")))
        patch.setenv("CONCORD_RUNS", str(tmp_path_factory.mktemp("runs")))
        yield
