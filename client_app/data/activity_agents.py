"""Suites `activity-agents`: the windows of suite `activity` at 16 agents that learn without a server.

An agent holds all sensors, or one of them where the scenario says so (`multimodal=R`). Persons 1 to 4 make three agents each,
5 and 6 two each, which share out the person's windows as in `activity`. Persons 7 and 8 are at no agent; each agent tests all
of their windows in the sensors that it holds, since nobody sums over shards. The anchors are two windows an activity and
sensor of the agents' own people, other windows in each sensor, which are used for nothing else.

- `activity-agents`: accelerometer and gyroscope.
- `activity-agents-three`: accelerometer, gyroscope and magnetometer.
- `activity-agents-validation`: two sensors, for choosing settings. Person 1 makes four agents, 2 to 5 three each; person 6 is
  unseen, and 7 and 8 take no part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from client_app.data.activity import ACTIVITY, OF_THE_INSTANCE, PEOPLE, SENSORS
from client_app.data.suite import OF_GRAPHS, Holder, PairedModality


def _agents(number_of: Mapping[str, int], sensors: Sequence[PairedModality]) -> dict[str, Holder]:
    """So many agents of each person, each with all `sensors`."""
    held = tuple(sensor.name for sensor in sensors)
    return {f"{person}-{part}": Holder(person, held) for person, number in number_of.items() for part in "abcd"[:number]}


AGENTS_OF = dict(zip(PEOPLE, (3, 3, 3, 3, 2, 2), strict=True))
VALIDATION_AGENTS_OF = dict(zip(PEOPLE[:-1], (4, 3, 3, 3, 3), strict=True))

AGENTS_THREE = replace(
    ACTIVITY,
    name="activity-agents-three",
    what="suite activity at 16 agents without a server, each with all three sensors or with one (multimodal=R)",
    nodes=_agents(AGENTS_OF, SENSORS),
    refused={"unlabelled": OF_THE_INSTANCE, "disjoint-labels": OF_THE_INSTANCE, **OF_GRAPHS},
    whole_tests=True,
)

AGENTS = replace(
    AGENTS_THREE,
    name="activity-agents",
    what="suite activity at 16 agents without a server, each with accelerometer and gyroscope or with one (multimodal=R)",
    modalities=SENSORS[:2],
    nodes=_agents(AGENTS_OF, SENSORS[:2]),
)

AGENTS_VALIDATION = replace(
    AGENTS,
    name="activity-agents-validation",
    what="suite activity-agents without its test: persons 1 to 5 train, person 6 is unseen; for choosing settings",
    nodes=_agents(VALIDATION_AGENTS_OF, SENSORS[:2]),
    unseen=PEOPLE[-1:],
)
