"""The benchmark of frozen encoders: samples of every kind, one row an epoch."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_pretrained import save_tiny

from benchmarks.frozen_cache import Seconds, epoch_seconds, made_up, table
from client_app.pretrained.frozen import content_key


@pytest.mark.parametrize("family", ["bert", "vit", "wav2vec2"])
def test_an_epoch_is_timed_on_samples_of_the_kind_that_the_encoder_reads(family: str, tmp_path: Path) -> None:
    spent = epoch_seconds(save_tiny(tmp_path, family), 3)
    assert spent.passed > 0
    assert spent.computed > 0


@pytest.mark.parametrize("kind", ["text", "image", "audio"])
def test_no_two_samples_are_alike(kind: str) -> None:
    assert len({content_key(sample) for sample in made_up(kind, 40)}) == 40  # type: ignore[arg-type]


def test_rows_compare_seconds_of_the_processor_with_those_of_the_first_epoch() -> None:
    rows = table([Seconds(9.0, 4.0), Seconds(0.5, 0.25)], 1000).splitlines()
    assert rows[2:] == ["| 1 | 9.00 | 4.00 | 250 | 1 |", "| 2 | 0.50 | 0.25 | 4,000 | 16 |"]
