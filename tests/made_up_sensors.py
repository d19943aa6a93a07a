"""Made-up windows in the place of a pack's, with its shapes: what a sensor shows of an activity is its level on each axis."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from client_app.data.readers.activity import DSADS

ACTIVITIES, PEOPLE, SEGMENTS, STEPS, SENSORS = 19, 8, 12, 125, 3
UNITS = ("torso", "right_arm", "left_arm", "right_leg", "left_leg")


def write_sensors(data: Path, seed: int = 0) -> Path:
    """Writes ``dsads/dsads_small.npz`` below `data`, as suite `activity` reads it."""
    rng = np.random.default_rng(seed)
    activity_N, subject_N, segment_N = (
        part.ravel() + 1 for part in np.meshgrid(range(ACTIVITIES), range(PEOPLE), range(SEGMENTS), indexing="ij")
    )
    level = rng.normal(size=(ACTIVITIES, 1, len(UNITS), SENSORS, 3))
    habit = rng.normal(size=(PEOPLE, 1, len(UNITS), SENSORS, 3))
    noise = rng.normal(size=(len(activity_N), STEPS, len(UNITS), SENSORS, 3))
    x = 600 * (level[activity_N - 1] + 0.7 * habit[subject_N - 1] + noise)
    path = data / DSADS.path
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        x=x.astype(np.int16),
        scale=np.full(SENSORS, 0.001, np.float32),
        activity=activity_N.astype(np.uint8),
        subject=subject_N.astype(np.uint8),
        segment=segment_N.astype(np.uint8),
        units=np.array(UNITS),
        sensors=np.array(["acc", "gyro", "mag"]),
    )
    return data
