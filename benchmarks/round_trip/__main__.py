"""Prints what a message to a node costs: `python -m benchmarks.round_trip [--repeats N] [--markdown FILE]`.

Real Flower processes on this machine with TLS, node keys, process isolation and durable state. Messages to one node are
measured in one run, in turns, and told as medians and ratios; then rounds of Concord itself on three nodes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.demo_nodes import NODES
from benchmarks.federation import LocalFederation
from benchmarks.round_trip.own_rounds import Rounds, measure
from concord.config import Scalar
from concord.deployment import SuperLink, wait_for_end
from concord.flower import COMPLETED

APP = Path(__file__).parent / "app"
NODE = "node"
HEADING = """# Round trips

Made by `python -m benchmarks.round_trip --repeats {repeats}`: one node, real Flower processes on one machine with TLS, node
keys, process isolation and durable state; everything in one run, in turns. The last table is of Concord's own rounds.

Most of an empty message is waiting and starting. A SuperNode without work looks for messages every 3 s, its executor for
tasks every 1 s, and each message starts a new process; these are constants of Flower 1.34 without a setting. What is
Concord's own is short: the server looks for replies after 0.02 s and then at most every 0.5 s, groups travel packed, a
round is one message a node, and a node imports no more than it needs.

"""
LOCAL_STEPS = (20, 200)
IMPORTS = {
    "python alone": "pass",
    "with Flower's ClientApp": "import flwr.clientapp",
    "with Concord's (torch, transformers, peft)": "import client_app.app",
    "and a model built": "import client_app.app as a; from client_app.model_check import check_model; "
    "from concord.config import RunConfig; check_model(RunConfig(), ['image'])",
}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.round_trip", description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=7, help="messages of each kind")
    parser.add_argument("--markdown", type=Path, help="write the tables here too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="concord-") as home, LocalFederation(Path(home), {NODE: {}}) as federation:
        out = Path(home) / "times.json"
        run_app(federation.superlink, APP, {"out": str(out), "repeats": options.repeats})
        text = tables(json.loads(out.read_text()))
    with tempfile.TemporaryDirectory(prefix="concord-") as home:
        rounds = measure(Path(home), options.repeats + 1, LOCAL_STEPS)
    text = "\n".join([text, "", *import_table(options.repeats), "", *own_table(rounds)])
    print(text)
    if options.markdown:
        options.markdown.write_text(HEADING.format(repeats=options.repeats) + text + "\n")


def run_app(superlink: SuperLink, app: Path, run_config: Mapping[str, Scalar]) -> None:
    """Runs a Flower app that is not Concord to its end; RuntimeError with its log when it failed."""
    run_id = superlink.submit(app, run_config)
    status, details = wait_for_end(superlink, run_id)
    if status != COMPLETED:
        raise RuntimeError(f"{status} {details}\n{superlink.log(run_id)}")


def tables(times: dict[str, Any]) -> str:
    """Medians by layout, the ratio of the layouts, and the parts of an empty message."""
    trips: dict[str, list[dict[str, float]]] = times["trips"]
    whole = {name: median(trip["all"] for trip in found) for name, found in trips.items()}
    fedavg = median(times["fedavg"])
    lines = [
        "| 448 tensors, 14 MB, there and back | seconds (median) | relative |",
        "| --- | --- | --- |",
        *(f"| {name} | {seconds:.2f} | {seconds / whole['packed']:.2f} |" for name, seconds in whole.items()),
        "",
        "| round of an idle federation | seconds (median) | relative |",
        "| --- | --- | --- |",
        f"| one phase, as Concord does it | {whole['empty']:.2f} | {whole['empty'] / fedavg:.2f} |",
        f"| Flower's FedAvg: train, then evaluate | {fedavg:.2f} | 1.00 |",
        "",
        "| where an empty message spends its time | seconds (median) | share |",
        "| --- | --- | --- |",
    ]
    for part in list(trips["empty"][0])[1:]:
        seconds = median(trip[part] for trip in trips["empty"])
        lines.append(f"| {part} | {seconds:.2f} | {seconds / whole['empty']:.0%} |")
    return "\n".join(lines)


def import_table(repeats: int) -> list[str]:
    """What each new ClientApp process imports before it can begin, as the median of fresh interpreters."""
    lines = ["| a new process | seconds (median) |", "| --- | --- |"]
    for what, code in IMPORTS.items():
        times = []
        for _ in range(repeats):
            started = time.monotonic()
            subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.DEVNULL)
            times.append(time.monotonic() - started)
        lines.append(f"| {what} | {median(times):.2f} |")
    return lines


def own_table(rounds: list[Rounds]) -> list[str]:
    """How much of a round the slowest node spends in its handler."""
    return [
        f"| Concord, {len(NODES)} nodes, suite demo | a round, seconds | slowest node's handler | its share |",
        "| --- | --- | --- | --- |",
        *(f"| {r.local_steps} local steps | {r.whole:.2f} | {r.slowest:.2f} | {r.slowest / r.whole:.0%} |" for r in rounds),
    ]


if __name__ == "__main__":
    main()
