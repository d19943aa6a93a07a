"""Suite `activity`: 19 activities in three sensors of the same windows; 18 nodes, three a person.

Persons 1 to 6 make three nodes each, which share out the person's windows: evenly by activity, or in the skewed parts of a
Dirichlet distribution (`skew`). A node lacks each sensor at the rate `missing`. Persons 7 and 8 are at no node: they make
the unseen test. The public anchors are two windows an activity and sensor, of other persons in each sensor: each of the
six gives one window an activity, which is then used for nothing else. So they are recordings of the nodes' own people.

Suite `activity-validation` is for choosing settings: persons 1 to 5 train, person 6 is unseen, and 7 and 8 take no part.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from client_app.data.readers.activity import ACCELEROMETER, GYROSCOPE, MAGNETOMETER
from client_app.data.suite import OF_GRAPHS, Holder, PairedModality, PairedSuite

ACTIVITIES = (
    "sitting",
    "standing",
    "lying on the back",
    "lying on the right side",
    "ascending stairs",
    "descending stairs",
    "standing in a lift",
    "moving around in a lift",
    "walking in a parking lot",
    "walking on a flat treadmill",
    "walking on a sloping treadmill",
    "running on a treadmill",
    "exercising on a stepper",
    "exercising on a cross trainer",
    "cycling horizontally",
    "cycling vertically",
    "rowing",
    "jumping",
    "playing basketball",
)
PEOPLE = tuple(f"subject-{number}" for number in range(1, 7))
UNSEEN_PEOPLE = ("subject-7", "subject-8")
SENSORS = (
    PairedModality("accelerometer", ACCELEROMETER),
    PairedModality("gyroscope", GYROSCOPE),
    PairedModality("magnetometer", MAGNETOMETER),
)
OF_THE_INSTANCE = "a label belongs to a window, which all its sensors share"
BY_MISSING = "here missing=<rate> says which nodes lack a sensor; suites activity-agents are made for multimodal=<share>"


def _three_nodes_each(people: Iterable[str]) -> dict[str, Holder]:
    return {f"{person}-{part}": Holder(person, tuple(sensor.name for sensor in SENSORS)) for person in people for part in "abc"}


ACTIVITY = PairedSuite(
    name="activity",
    what="19 daily and sports activities of 8 people: accelerometer, gyroscope and magnetometer of the same windows",
    licence="CC BY 4.0, as stated by the UCI repository",
    origin="UCI dataset 256 (Daily and Sports Activities): `concord data check` names the copy",
    concepts=ACTIVITIES,
    modalities=SENSORS,
    nodes=_three_nodes_each(PEOPLE),
    unseen=UNSEEN_PEOPLE,
    anchors_per_concept=2,
    refused={
        "unlabelled": OF_THE_INSTANCE,
        "disjoint-labels": OF_THE_INSTANCE,
        "multimodal": BY_MISSING,
        "unbalanced": BY_MISSING,
        **OF_GRAPHS,
    },
)

VALIDATION = replace(
    ACTIVITY,
    name="activity-validation",
    what="suite activity without its test: persons 1 to 5 train, person 6 is unseen; for choosing settings",
    nodes=_three_nodes_each(PEOPLE[:-1]),
    unseen=PEOPLE[-1:],
)
