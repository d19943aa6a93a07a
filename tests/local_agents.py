"""Agents as real processes on the loopback interface: `concord peer`, each with keys, data and a folder of its own."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

from client_app.data.federation import build_federation
from client_app.data.node_folder import Origin, save_node
from concord import keys
from concord.config import Scalar
from concord.flower import SCRIPTS, environment
from concord.processes import Family, family, free_port
from concord.run_folder import Line, RunFolder

RUN: Mapping[str, Scalar] = {
    "method": "parse",
    "local-steps": 4,
    "batch-size": 8,
    "model.width": 16,
    "model.attention-heads": 2,
    "overlay.kind": "complete",
}


@dataclass
class LocalAgents:
    """Agents of suite `demo` by name.

    Attributes:
        folder: all that they have.
        names: of those that all know; `start` starts one.
        run: keys of the run.
        patience: seconds that each waits for neighbours.
    """

    folder: Path
    names: Sequence[str]
    run: Mapping[str, Scalar]
    patience: float
    processes: Family
    running: dict[str, Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.addresses = {name: f"127.0.0.1:{free_port()}" for name in self.names}
        keys.make_authority(self.folder / "ca")
        federation = build_federation("demo", None, 0, "labelled")
        for node in federation.nodes:
            if node.name in self.names:
                save_node(self.data(node.name), node, federation.anchors, Origin("demo", 0, "labelled"))
                keys.make_peer(self.folder / "keys" / node.name, self.folder / "ca", ["127.0.0.1"])
                self.write_config(node.name)

    def data(self, name: str) -> Path:
        return self.folder / "nodes" / name

    def file(self, name: str) -> Path:
        return self.folder / f"{name}.toml"

    def write_config(self, name: str) -> None:
        """Writes an agent's ``peer.toml``."""
        others = "".join(f'{other} = "{address}"\n' for other, address in self.addresses.items() if other != name)
        run = "".join(f'"{key}" = {json.dumps(value)}\n' for key, value in {**RUN, **self.run}.items())
        self.file(name).write_text(
            f'[agent]\nkeys = "keys/{name}"\ndata = "nodes/{name}"\nfolder = "runs/{name}"\n'
            f'listen = "{self.addresses[name]}"\npatience = {self.patience}\nstart-patience = {60.0}\n'
            f"[others]\n{others}[run]\n{run}"
        )

    def start(self, *names: str) -> None:
        """Starts agents, or starts them again."""
        for name in names:
            with (self.folder / f"{name}.log").open("ab") as log:
                self.running[name] = self.processes.start(SCRIPTS / "concord", "peer", "--config", str(self.file(name)), log=log)

    def signal(self, name: str, number: signal.Signals) -> None:
        self.running[name].send_signal(number)

    def lines(self, name: str, scope: str) -> list[Line]:
        return [line for line in RunFolder(self.folder / "runs" / name).read_metrics() if line["scope"] == scope]

    def round(self, name: str) -> int:
        """The last round that an agent has done."""
        return max((line["round"] for line in self.lines(name, "round")), default=0)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")


def went_on_after(run_lines: Sequence[Line]) -> int:
    """The round after which an agent that was killed once, and has finished since, says that it went on."""
    (first, message), (second, again), last = [(line["event"], line["message"]) for line in run_lines]
    assert (first, message, second, last) == ("started", "", "started", ("finished", ""))
    return int(again.removeprefix("goes on after round "))


@contextmanager
def local_agents(folder: Path, names: Sequence[str], run: Mapping[str, Scalar], patience: float) -> Iterator[LocalAgents]:
    """Agents that are stopped on the way out."""
    home = folder / "home"
    home.mkdir(parents=True)
    with family(environment(home)) as processes:
        yield LocalAgents(folder, names, run, patience, processes)
