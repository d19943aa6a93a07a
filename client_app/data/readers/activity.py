"""Windows of body-worn sensors: Daily and Sports Activities (Altun, Barshan, Tuncel 2010), 19 activities of 8 people.

A window is 5 s at 25 Hz of five units (torso, arms, legs), three axes each: [125, 15]. The three sensors of a unit are
three modalities of the same windows, so the same id means the same instance. Units of measurement are the only
normalisation, and they know no data: acceleration in g, rotation in rad/s, magnetic flux in that of the Earth's field
as the pack has it. Gravity and the direction of north stay in: they tell posture and heading.

Each person did each activity once, for five minutes, which the publishers cut into 60 windows. The pack keeps every
fourth: two windows of one recording lie at least 15 s apart, so none overlap or touch. They are still the same person on
the same day: what that is worth, the unseen subjects tell.

Shapes: N windows, T = 125 times, U = 5 units, S = 3 sensors, A = 3 axes, K = U * A = 15.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from client_app.data.corpus import Corpus, Reader, make_corpus
from client_app.data.packs import Array, ArrayFile, read_arrays

SENSORS = ("acc", "gyro", "mag")
UNITS = ("torso", "right_arm", "left_arm", "right_leg", "left_leg")
TIMES, AXES = 125, 3
STANDARD_GRAVITY = 9.80665  # m/s^2

DSADS = ArrayFile(
    path="dsads/dsads.npz",
    origin="xushige/HAR-Dataset-Preprocess at commit f80c26775057 (UCI dataset 256), every fourth window kept",
    size=21_896_507,
    sha256="5357f37d31fa9a557b5c507a452cab14a2efa8dbfe9bcd38784d9c6bde7289a8",
    arrays={
        "x": Array("integer", ("N", TIMES, len(UNITS), len(SENSORS), AXES), -32767, 32767),
        "scale": Array("real", (len(SENSORS),), 0, 1),
        "activity": Array("integer", ("N",), 1, 19),
        "subject": Array("integer", ("N",), 1, 8),
        "segment": Array("integer", ("N",), 1, 60),
        "units": Array("text", (len(UNITS),), words=UNITS),
        "sensors": Array("text", (len(SENSORS),), words=SENSORS),
    },
)


def build(data: Path, sensor: str, unit: float) -> Corpus:
    """All windows of one sensor, measured in `unit` (1 is what the pack's scale gives)."""
    pack = read_arrays(DSADS, data)
    rank = SENSORS.index(sensor)
    factor = np.float32(pack["scale"][rank] / unit)
    x_NTK = pack["x"][:, :, :, rank].reshape(len(pack["x"]), TIMES, -1) * factor
    told = zip(pack["activity"].tolist(), pack["subject"].tolist(), pack["segment"].tolist(), strict=True)
    ids = [f"activity/a{activity:02}-p{subject}-s{segment:02}" for activity, subject, segment in told]
    owners = [f"subject-{subject}" for subject in pack["subject"].tolist()]
    return make_corpus(torch.as_tensor(x_NTK), pack["activity"].astype(np.int64) - 1, ids, owners)


ACCELEROMETER = Reader("accelerometer", 1, lambda data: build(data, "acc", STANDARD_GRAVITY), (DSADS,))
GYROSCOPE = Reader("gyroscope", 1, lambda data: build(data, "gyro", 1.0), (DSADS,))
MAGNETOMETER = Reader("magnetometer", 1, lambda data: build(data, "mag", 1.0), (DSADS,))
