"""Prints what a message to a node costs: `python -m benchmarks.round_trip [--repeats N] [--markdown FILE]`.

One node, real Flower processes on this machine with TLS, node keys, process isolation and durable state. Everything is
measured in one run, in turns, and told as medians and ratios.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.federation import LocalFederation
from concord.config import Scalar
from concord.deployment import SuperLink, wait_for_end
from concord.flower import COMPLETED

APP = Path(__file__).parent / "app"
NODE = "node"
HEADING = """# Round trips

Made by `python -m benchmarks.round_trip --repeats {repeats}`: one node, real Flower processes on one machine with TLS, node
keys, process isolation and durable state; everything in one run, in turns.

"""


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


if __name__ == "__main__":
    main()
