"""What tests of real processes share."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import psutil  # type: ignore[import-untyped,unused-ignore]
import pytest


@pytest.fixture
def left_behind(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Tells which processes there are that this test started, directly or not."""
    token = secrets.token_hex(8)
    monkeypatch.setenv("CONCORD_TEST", token)

    def names() -> list[str]:
        everyone = psutil.process_iter(["name", "environ"])
        return [process.info["name"] for process in everyone if (process.info["environ"] or {}).get("CONCORD_TEST") == token]

    return names
