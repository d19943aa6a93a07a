"""Fixtures: suites and their federations, and a feature cache of the test session's own."""

from __future__ import annotations

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


@pytest.fixture(scope="session", params=["demo", "digits"])
def suite(request: pytest.FixtureRequest) -> tuple[str, Path | None]:
    """Every suite with its data folder."""
    name: str = request.param
    return name, None if name == "demo" else request.getfixturevalue("packs")


@pytest.fixture(scope="session")
def federation(suite: tuple[str, Path | None]) -> Federation:
    return build_federation(*suite, seed=0, scenario="labelled")
