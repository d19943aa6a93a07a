"""What a round costs with many agents in one process: `python -m benchmarks.agents.scale [--agents K] [--markdown FILE]`.

Overlays with more and more links; the time of the exchange (saying, reading, mixing) is fitted by a line over the number of
links. Training is timed beside it: it does not depend on links.
"""

from __future__ import annotations

import argparse
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch

from benchmarks.agents.synthetic import MODALITIES, made_up_agents
from benchmarks.markdown import table
from client_app.agents.agent import Agent
from concord.agreement import agree
from concord.config import parse_config
from concord.run_folder import atomic_write

DEGREES = (2, 4, 8, 16, 32)
HEADING = """# Many agents in one process

Made by `python -m benchmarks.agents.scale --agents {agents} --repeats {repeats}`: {agents} agents of method `parse`, half of
them of one sensor, a quarter of the other, a quarter of both; random regular overlays. Median time of a round; training: 4
steps of batches of 8.

"""


@dataclass(frozen=True)
class Cost:
    """A round at one degree: links that carry something, seconds of training and of the exchange, bytes in all."""

    degree: int
    links: int
    training: float
    exchange: float
    sent: int


def cost(agents: list[Agent], degree: int, repeats: int) -> Cost:
    """The median over some rounds."""
    config = agents[0].config.model_copy(update={"overlay": agents[0].config.overlay.model_copy(update={"degree": degree})})
    agreement = agree({agent.name: agent.offer for agent in agents}, config)
    links = {agent.name: agreement.links(agent.name) for agent in agents}
    trained, exchanged, sent = [], [], 0
    for round_ in range(1, repeats + 1):
        begun = time.perf_counter()
        for agent in agents:
            agent.train(round_, links[agent.name])
        between = time.perf_counter()
        said = {agent.name: agent.updates() for agent in agents}
        heard = [agent.mix({neighbour: said[neighbour][agent.name] for neighbour in links[agent.name]}) for agent in agents]
        exchanged.append(time.perf_counter() - between)
        trained.append(between - begun)
        sent = sum(h.bytes_sent for own in heard for h in own)
    return Cost(degree, sum(map(len, links.values())) // 2, median(trained), median(exchanged), sent)


def page(costs: list[Cost], agents: int, repeats: int) -> str:
    """The table, and how well a line fits."""
    links, seconds = (np.array([getattr(c, name) for c in costs], float) for name in ("links", "exchange"))
    slope, base = np.polyfit(links, seconds, 1)
    rest = seconds - (base + slope * links)
    fit = 1 - float((rest**2).sum() / ((seconds - seconds.mean()) ** 2).sum())
    rows = [
        [
            str(c.degree),
            str(c.links),
            f"{c.training:.2f}",
            f"{c.exchange:.2f}",
            f"{1e3 * c.exchange / c.links:.2f}",
            f"{c.sent / 1e6:.0f}",
        ]
        for c in costs
    ]
    header = ["degree", "links", "training, s", "exchange, s", "exchange, ms a link", "MB sent"]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return (
        HEADING.format(agents=agents, repeats=repeats)
        + table(header, rows)
        + f"\n\nA line fits the exchange with R² = {fit:.4f}: {1e3 * slope:.2f} ms a link and {base:.2f} s beside. "
        f"Peak memory of the process: {memory:.1f} GB.\n"
    )


def main() -> None:
    """Parses the command line and does it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agents.scale", description=__doc__)
    parser.add_argument("--agents", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--markdown", type=Path, help="where the table is written")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    settings = {"method": "parse", "overlay.kind": "random-regular", "local-steps": 4, "batch-size": 8}
    kinds = [MODALITIES[:1], MODALITIES[:1], MODALITIES[1:], MODALITIES]
    agents = made_up_agents(parse_config(settings), [kinds[i % len(kinds)] for i in range(arguments.agents)])
    costs = [cost(agents, degree, arguments.repeats) for degree in DEGREES]
    text = page(costs, arguments.agents, arguments.repeats)
    print(text)
    if arguments.markdown:
        atomic_write(arguments.markdown, text)


if __name__ == "__main__":
    main()
