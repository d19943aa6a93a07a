"""Fixtures: where the real packs are, and a feature cache of the test session's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from client_app.data.federation import Federation, build_federation


@pytest.fixture(scope="session", autouse=True)
def feature_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("feature-cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONCORD_CACHE", str(folder))
        yield folder


def folder_above(pack: str) -> Path:
    """The folder of the data packs; skips the test where it does not hold `pack`."""
    named = os.environ.get("CONCORD_DATA")
    folder = Path(named) if named else Path(__file__).parents[3] / "shared" / "data"
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
def omniglot() -> Path:
    return folder_above("omniglot")


@pytest.fixture(scope="session", params=["demo", "digits"])
def suite(request: pytest.FixtureRequest) -> tuple[str, Path | None]:
    """Every suite with its data folder."""
    name: str = request.param
    return name, None if name == "demo" else request.getfixturevalue("packs")


@pytest.fixture(scope="session")
def federation(suite: tuple[str, Path | None]) -> Federation:
    return build_federation(*suite, seed=0, scenario="labelled")
