"""The soak's plan: the run must last until the last kill, however long its rounds are."""

from __future__ import annotations

import random

import pytest

from benchmarks.soak import FIRST_PAUSE, RECOVERED, longest_pause, rounds_for


@pytest.mark.parametrize("usual", [0.5, 3.0, 12.0])
@pytest.mark.parametrize("seed", range(20))
def test_the_run_lasts_until_the_federation_has_recovered_from_the_last_kill(usual: float, seed: int) -> None:
    draw, kills = random.Random(seed), 20
    seconds: list[float] = []
    for _ in range(kills):
        left = draw.uniform(0, longest_pause(seconds))
        while left > 0:  # rounds end while the killer sleeps, some of them shorter than usual
            seconds.append(usual * draw.uniform(0.7, 1.3))
            left -= seconds[-1]
        seconds += [usual + 60.0, *[usual] * (RECOVERED - 1)]  # a kill costs a round about a minute
    assert len(seconds) <= rounds_for(kills) + FIRST_PAUSE / usual


def test_a_kill_may_come_at_any_moment_of_a_usual_round() -> None:
    assert longest_pause([]) == FIRST_PAUSE
    assert longest_pause([70.0, 4.0, 66.0, 3.0, 80.0, 3.5]) == 3.5
    assert longest_pause([60.0]) == FIRST_PAUSE
