"""How fast agents come to agree, beside theory: `python -m benchmarks.agents.consensus [--markdown FILE --chart FILE]`.

Agents begin with weights of their own and only exchange; nobody trains. With Metropolis weights the distance from the mean
falls in the long run by the second largest absolute eigenvalue of the mixing matrix in each round, and never more slowly
(Xiao, Boyd & Kim 2007): both are printed, the measured one over the second half of the rounds.

Legend: K agents, P values.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from math import log10
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from benchmarks.agents.synthetic import MODALITIES, made_up_agents, scatter
from benchmarks.markdown import table
from client_app.agents.agent import Agent
from client_app.agents.methods import slices_of
from concord.agreement import agree
from concord.config import parse_config
from concord.functional.mixing import consensus_distance, contraction, metropolis_matrix
from concord.overlay import Graph, OverlayKind
from concord.run_folder import atomic_write
from concord.wire.groups import pack
from server_app.report.charts import Series, line_chart
from server_app.report.palette import LIGHT

SLICE = f"encoder.{MODALITIES[0]}"
FLOOR = 1e-6  # below it, of the first distance, float32 rounds
HEADING = """# How agents come to agree

Made by `python -m benchmarks.agents.consensus`: {agents} agents that hold one slice, begin with weights of their own and only
exchange. Distance from the mean, root mean square over agents, relative to that before round 1; the factor a round, measured
over the second half of the rounds, beside the second largest absolute eigenvalue of the Metropolis matrix. The distance must
never be above the eigenvalue to the power of the round.

![Distance from the mean by round, measured and by theory]({chart})

Dots: measured. Dashes: the eigenvalue to the power of the round.

"""


@dataclass(frozen=True)
class Course:
    """How the distance fell on one overlay: relative to the first, before round 1, 2, ...; theory is the eigenvalue."""

    overlay: str
    links: int
    theory: float
    distances: tuple[float, ...]

    @property
    def measured(self) -> float:
        """The factor a round over the second half of the rounds in which float32 can tell."""
        told = [d for d in self.distances if d > FLOOR]
        half = len(told) // 2
        return (told[-1] / told[half]) ** (1 / (len(told) - 1 - half)) if len(told) - 1 > half else 0.0

    @property
    def bounded(self) -> bool:
        """Whether it never was above what theory allows."""
        return all(d <= self.theory**r * (1 + 1e-3) + FLOOR for r, d in enumerate(self.distances))


def course(overlay: str, agents: int, rounds: int) -> Course:
    """Lets agents exchange for some rounds."""
    config = parse_config({"method": "dsgd-modality", "overlay.kind": overlay, "rounds": rounds})
    group = made_up_agents(config, [MODALITIES[:1]] * agents)
    for agent in group:
        scatter(agent)
    agreement = agree({agent.name: agent.offer for agent in group}, config)
    (graph,) = agreement.overlays.values()
    distances = [_distance(group)]
    for round_ in range(1, rounds + 1):
        for agent in group:
            agent.round_, agent.links = round_, agreement.links(agent.name)
        said = {agent.name: agent.updates() for agent in group}
        for agent in group:
            agent.mix({sender: updates[agent.name] for sender, updates in said.items() if agent.name in updates})
        distances.append(_distance(group))
    links = sum(len(neighbours) for neighbours in graph.values()) // 2
    theory = contraction(metropolis_matrix(adjacency(graph)))
    return Course(overlay, links, theory, tuple(d / distances[0] for d in distances))


def adjacency(graph: Graph) -> torch.Tensor:
    """Who is neighbour of whom, [K, K]."""
    names = sorted(graph)
    return torch.tensor([[other in graph[name] for other in names] for name in names])


def chart(courses: list[Course]) -> str:
    """Measured distances as lines with dots, theory as thin lines, both as powers of ten; a picture that stands alone."""
    series = []
    for slot, one in enumerate(courses):
        measured = tuple((float(r), log10(d)) for r, d in enumerate(one.distances) if d > FLOOR)
        theory = tuple((r, r * log10(one.theory)) for r, _ in measured) if one.theory > FLOOR else ()
        series += [Series(one.overlay, slot, measured), Series("", slot, theory)]
    drawn = line_chart(series, "Distance from the mean by round", "round", lambda y: f"1e{y:.0f}" if y else "1")
    colours = "".join(f"--s{slot}:{value};" for slot, value in enumerate(LIGHT))
    style = (
        f"<style>svg{{{colours}background:#fff;font:12px sans-serif}}.line{{fill:none;stroke:var(--c);stroke-width:1.5}}"
        "g:nth-of-type(even) .dot{display:none}g:nth-of-type(even) .line{stroke-dasharray:5 4}"
        ".dot{fill:var(--c)}.name{fill:var(--c)}.tick{fill:#555}.rule{stroke:#ddd}.axis{stroke:#555}</style>"
    )
    head, rest = str(drawn).split(">", 1)
    return f'{head} xmlns="http://www.w3.org/2000/svg">{style}{rest}\n'


def page(courses: list[Course], agents: int, chart_name: str) -> str:
    """The table of all overlays."""
    rows = [
        [c.overlay, str(c.links), f"{c.measured:.4f}", f"{c.theory:.4f}", "yes" if c.bounded else "no", f"{c.distances[-1]:.1e}"]
        for c in courses
    ]
    header = ["overlay", "links", "factor a round, measured", "by theory", "never above theory", "distance in the end"]
    return HEADING.format(agents=agents, chart=chart_name) + table(header, rows) + "\n"


def _distance(agents: list[Agent]) -> float:
    flat = np.stack([pack(slices_of(agent.config, agent.model)[SLICE]) for agent in agents])
    return float(consensus_distance(torch.from_numpy(flat)))


def main() -> None:
    """Parses the command line and does it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agents.consensus", description=__doc__)
    parser.add_argument("--agents", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--markdown", type=Path, help="where the table is written; the chart goes beside it")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    courses = [course(kind, arguments.agents, arguments.rounds) for kind in get_args(OverlayKind)]
    text = page(courses, arguments.agents, "consensus.svg")
    print(text)
    if arguments.markdown:
        atomic_write(arguments.markdown, text)
        atomic_write(arguments.markdown.with_name("consensus.svg"), chart(courses))


if __name__ == "__main__":
    main()
