"""For all tests: one thread, no telemetry, caches and run folders of the session's own, and where the real packs are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import torch
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

os.environ |= {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1", "OMP_NUM_THREADS": "1"}  # read on import

CONTAINERS = "tests/deploy/test_compose"
FEDERATIONS = tuple(f"tests/deploy/test_{name}.py" for name in ("federation", "full_disk_of_a_federation", "kills"))

hypothesis.settings.register_profile("concord", deadline=None, derandomize=True)
hypothesis.settings.load_profile("concord")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--regenerate-golden", action="store_true", help="write tests/e2e/golden/*.json anew instead of comparing")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of workers (``pytest -n 3``) one begins with the federations; containers, which slow them down, come last."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.nodeid.startswith(CONTAINERS) - item.nodeid.startswith(FEDERATIONS))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling:
    """One worker gets all tests of a file; one all federations, which side by side miss deadlines; one all containers."""

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            if nodeid.startswith(CONTAINERS):
                return "containers"
            return "federations" if nodeid.startswith(FEDERATIONS) else super()._split_scope(nodeid)

    config.option.loadscopereorder = False  # the files with many tests are not those that take long
    return Scheduling(config, log)


@pytest.fixture(scope="session", autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONCORD_CACHE", str(tmp_path_factory.mktemp("features")))
        patch.setenv("CONCORD_RUNS", str(tmp_path_factory.mktemp("runs")))
        yield


def folder_above(pack: str) -> Path:
    """The folder of the data packs; skips the test where it does not hold `pack`."""
    named = os.environ.get("CONCORD_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    if not (folder / pack).is_dir():
        pytest.skip(f"no data packs: CONCORD_DATA names the folder that holds {pack}/")
    return folder


@pytest.fixture(scope="session")
def packs() -> Path:
    return folder_above("digits")


@pytest.fixture(scope="session")
def dsads() -> Path:
    return folder_above("dsads")


@pytest.fixture(scope="session")
def planetoid() -> Path:
    return folder_above("graphs")


@pytest.fixture(scope="session")
def worldgraph() -> Path:
    return folder_above("worldgraph")


@pytest.fixture(scope="session")
def published_files() -> Path:
    return folder_above("files")


@pytest.fixture(scope="session")
def omniglot() -> Path:
    return folder_above("omniglot")


@pytest.fixture(scope="session")
def emoji_pack() -> Path:
    return folder_above("emoji")
