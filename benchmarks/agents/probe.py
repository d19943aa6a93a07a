"""Which slice knows what: `python -m benchmarks.agents.probe --data DIR [--markdown FILE]`.

Method `parse` on the two-sensor suite; then, on the unseen people, logistic regression on each slice of each agent of both
sensors, fitted on one half of the windows and tested on the other:

- the activity, from the slice of the same sensor;
- the activity, fitted on the slice of one sensor and tested on that of the other: what both sensors say alike;
- the sensor, from slices of both (chance 0.5);
- the person (chance 0.5).

The picture shows the slices of one agent, projected on their first two principal components.

Legend: N windows, W width of a slice.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import Path
from statistics import mean
from typing import cast

import numpy as np
import torch
from markupsafe import Markup
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.agents.cases import COMMON, MIXES, TWO, scenario
from benchmarks.agents.tables import SENSORS
from benchmarks.markdown import cell, table
from benchmarks.sweep import SEEDS
from client_app.agents.agent import Agent
from client_app.agents.sliced import SlicedModel
from client_app.data.federation import build_federation
from concord.config import RunConfig, parse_config
from concord.kinds import SLICES
from concord.run_folder import atomic_write
from concord.samples import Samples
from peer_app.in_process import Neighbourhood
from server_app.report.charts import element
from server_app.report.palette import LIGHT

SPLIT = "unseen"
PROBES = ("activity, same sensor", "activity, other sensor", "sensor", "person")
SHOWN = 6  # activities in the picture
PANEL, MARGIN = 260, 30  # its sizes, in pixels
Vectors = NDArray[np.float32]
Slices = Mapping[str, Mapping[str, Vectors]]  # by slice and sensor [N, W]
HEADING = """# Which slice knows what

Made by `python -m benchmarks.agents.probe --data DIR`: logistic regression on the slices of agents of both sensors, suite
`{suite}`, `{scenario}`, windows of unseen people, one half to fit and one to test; mean and 95 % interval over seeds {seeds}.

"""
PICTURE = """

![Slices of one agent](slices.svg)

The slices of one agent, seed {seed}, on their first two principal components: a colour for each of {shown} activities; discs
are of the {first}, squares of the {second}.
"""


def train(config: RunConfig) -> list[Agent]:
    """Agents of both sensors after a run."""
    federation = build_federation(config.suite, Path(config.data), config.seed, config.scenario)
    agents = [Agent(config, node, federation.anchors, torch.device("cpu")) for node in federation.nodes]
    Neighbourhood(agents, config).rounds()
    return [agent for agent in agents if len(agent.modalities) > 1]


@torch.no_grad()
def slices_of_tests(agent: Agent) -> Slices:
    """What the agent makes of the unseen windows."""
    model = cast(SlicedModel, agent.model)
    model.eval()
    found = model.slices({m: agent.data.tests[SPLIT][m].x for m in agent.modalities})
    return {name: {m: z_NW.numpy() for m, z_NW in by_sensor.items()} for name, by_sensor in found.items()}


def probes(z: Mapping[str, Vectors], tests: Samples) -> dict[str, float]:
    """Accuracy of each probe on one slice."""
    y_N = tests.y.numpy()
    person_N = np.array([name.split("-")[1] for name in tests.ids])
    fit_N = np.arange(len(y_N)) % 2 == 0
    both, which = np.concatenate(list(z.values())), np.repeat(np.arange(len(z)), len(y_N))
    fit_both = np.tile(fit_N, len(z))
    return {
        PROBES[0]: mean(_accuracy(z[m][fit_N], y_N[fit_N], z[m][~fit_N], y_N[~fit_N]) for m in z),
        PROBES[1]: mean(_accuracy(z[a][fit_N], y_N[fit_N], z[b][~fit_N], y_N[~fit_N]) for a, b in permutations(z, 2)),
        PROBES[2]: _accuracy(both[fit_both], which[fit_both], both[~fit_both], which[~fit_both]),
        PROBES[3]: mean(_accuracy(z[m][fit_N], person_N[fit_N], z[m][~fit_N], person_N[~fit_N]) for m in z),
    }


def picture(slices: Slices, y_N: NDArray[np.int64]) -> str:
    """A panel a slice."""
    shown = np.unique(y_N)[:SHOWN]
    panels = [_panel(name, slices[name], y_N, shown, MARGIN + i * (PANEL + MARGIN)) for i, name in enumerate(SLICES)]
    width, height = MARGIN + len(SLICES) * (PANEL + MARGIN), PANEL + 2 * MARGIN
    style = element("style", "svg{background:#fff;font:14px sans-serif}")
    frame = {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {width} {height}", "role": "img"}
    return str(element("svg", element("title", "Slices of one agent"), style, *panels, **frame)) + "\n"


def _panel(name: str, z: Mapping[str, Vectors], y_N: NDArray[np.int64], shown: NDArray[np.int64], left: int) -> Markup:
    there = np.isin(y_N, shown)
    flat = PCA(2, random_state=0).fit(np.concatenate([one[there] for one in z.values()]))
    points = [flat.transform(one[there]) for one in z.values()]
    low, high = np.concatenate(points).min(0), np.concatenate(points).max(0)
    marks = []
    for rank, (x_N2, label) in enumerate((x, y_N[there]) for x in points):
        for (x, y), c in zip((x_N2 - low) / (high - low), label, strict=True):
            fill = LIGHT[int(np.flatnonzero(shown == c)[0])]
            px, py = left + float(x) * PANEL, MARGIN + float(y) * PANEL
            if rank:
                marks.append(element("rect", x=px - 2.5, y=py - 2.5, width=5, height=5, fill=fill, fill_opacity=0.6))
            else:
                marks.append(element("circle", cx=px, cy=py, r=3, fill=fill, fill_opacity=0.6))
    frame = element("rect", x=left - 6, y=MARGIN - 6, width=PANEL + 12, height=PANEL + 12, fill="none", stroke="#ccc")
    return element("g", element("text", name, x=left, y=MARGIN - 12), frame, *marks)


def _accuracy(fit_x: Vectors, fit_y: NDArray[np.generic], x: Vectors, y: NDArray[np.generic]) -> float:
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    return float(model.fit(fit_x, fit_y).score(x, y))


def page(found: Mapping[int, Sequence[Mapping[str, Mapping[str, float]]]]) -> str:
    """The table; `found` is by seed, agent, slice and probe."""
    rows = [
        [name, *(cell([mean(own[name][probe] for own in agents) for agents in found.values()]) for probe in PROBES)]
        for name in SLICES
    ]
    heading = HEADING.format(suite=TWO, scenario=scenario(MIXES[0]), seeds=", ".join(map(str, found)))
    words = {"seed": min(found), "shown": SHOWN, "first": SENSORS[0], "second": SENSORS[1]}
    return heading + table(["slice", *PROBES], rows) + PICTURE.format(**words)


def main() -> None:
    """Parses the command line and does it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agents.probe", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the data packs")
    parser.add_argument("--markdown", type=Path, help="where the table is written; the picture goes beside it")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found, drawn = {}, ""
    for seed in SEEDS:
        told = {"method": "parse", "suite": TWO, "scenario": scenario(MIXES[0]), "data": str(arguments.data), "seed": seed}
        agents = train(parse_config({**told, **COMMON}))
        by_agent = [(agent, slices_of_tests(agent)) for agent in agents]
        tests = agents[0].data.tests[SPLIT][SENSORS[0]]
        found[seed] = [{name: probes(z[name], tests) for name in SLICES} for _, z in by_agent]
        drawn = drawn or picture(by_agent[0][1], tests.y.numpy())
        print(f"seed {seed}: {found[seed][0]}", flush=True)
    text = page(found)
    print(text)
    if arguments.markdown:
        atomic_write(arguments.markdown, text)
        atomic_write(arguments.markdown.with_name("slices.svg"), drawn)


if __name__ == "__main__":
    main()
