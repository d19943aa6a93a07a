"""Kills parts of a federation at random moments while it trains: `python -m benchmarks.soak [--kills N] [--seed N]`.

Real Flower processes on this machine. After each kill the federation must finish two more rounds by itself before the
next. Counted are rounds that are missing or had fewer replies than nodes, and checkpoints that cannot be read. Exits
with 1 when there is any, or when the run ended before the last kill.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from safetensors import SafetensorError, safe_open

from benchmarks.demo_nodes import NODES, deal, node_configs
from benchmarks.federation import PARTS, LocalFederation, wait_until
from concord.config import RunConfig, parse_config
from concord.deployment import follow
from concord.flower import repository
from concord.run_folder import RunFolder
from server_app.checkpoint import FILE

RECOVERED = 2  # rounds from a kill to the next pause
ROUNDS_A_KILL = RECOVERED + 2  # the pause is a round at most, and that round may be a short one
FIRST_PAUSE = 10.0  # seconds at most from the start to the first kill, when no round has been timed
RECOVERY_SECONDS = 600.0


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="concord-") as home:
        sys.exit(soak(Path(home), options.kills, random.Random(options.seed)))


def soak(home: Path, kills: int, draw: random.Random) -> int:
    """One run under fire; the exit status."""
    config = _config(home, rounds_for(kills))
    folder = RunFolder(config.run_folder)
    done: Counter[str] = Counter()
    damaged: list[str] = []
    with LocalFederation(home / "federation", node_configs(home)) as federation:
        striker = threading.Thread(target=_strike, args=(federation, folder, kills, draw, done, damaged), daemon=True)
        striker.start()
        follow(federation.superlink, repository(), config, attempts=kills + 1)
        striker.join(RECOVERY_SECONDS)
    told = folder.read_metrics()
    lines = [line for line in told if line["scope"] == "round" and line["round"] <= config.rounds]
    lost = set(range(1, config.rounds + 1)) - {line["round"] for line in lines}
    short = [line["round"] for line in lines if line["replies"] < len(NODES)]
    print(f"kills: {done.total()} ({', '.join(f'{count} {role}' for role, count in sorted(done.items()))})")
    print(f"rounds: {len(lines)} of {config.rounds} finished, {len(lost)} lost, {len(short)} without all nodes {short}")
    for line in told:
        if line["scope"] == "rejection" and line["round"] in short:
            print(f"round {line['round']}: without {line['node']}: {line['reason']}: {line['detail']}")
    print(f"checkpoints: {len(damaged)} damaged {damaged}")
    return int(done.total() < kills or bool(lost or short or damaged))


def rounds_for(kills: int) -> int:
    """Rounds that are enough for so many kills, each in a round of its own with time to recover, the last one too."""
    return ROUNDS_A_KILL * kills + RECOVERED


def longest_pause(seconds: Sequence[float]) -> float:
    """How long to wait at most before a kill: a usual round, so that it comes at any moment of one and uses up no more.

    Args:
        seconds: of the rounds that are finished. Up to half of them had a kill and took longer: the usual ones are below.
    """
    return min(sorted(seconds)[len(seconds) // 4], FIRST_PAUSE) if seconds else FIRST_PAUSE


def _config(home: Path, rounds: int) -> RunConfig:
    run = {"run-folder": str(home / "run"), "resume": True, "rounds": rounds, "round-timeout": 400.0, "local-steps": 4}
    return parse_config({**deal(home), **run})


def _strike(
    federation: LocalFederation, folder: RunFolder, kills: int, draw: random.Random, done: Counter[str], damaged: list[str]
) -> None:
    """Kills, waits until the federation has recovered, and kills again."""
    while done.total() < kills:
        due = _rounds(folder) + RECOVERED if done else 0
        if not wait_until(partial(_has_reached, folder, due), RECOVERY_SECONDS):
            return
        time.sleep(draw.uniform(0, longest_pause(_seconds(folder))))
        part = draw.choice(PARTS)
        if not federation.kill_part(part, draw.choice(NODES), RECOVERY_SECONDS):
            return
        done[part] += 1
        print(f"{done.total()}/{kills} round {_rounds(folder) + 1}: killed the {part}", flush=True)
        damaged += _damage(folder)


def _seconds(folder: RunFolder) -> list[float]:
    return [line["seconds"] for line in folder.read_metrics() if line["scope"] == "round"]


def _rounds(folder: RunFolder) -> int:
    return max((line["round"] for line in folder.read_metrics() if line["scope"] == "round"), default=0)


def _has_reached(folder: RunFolder, round_: int) -> bool:
    return _rounds(folder) >= round_


def _damage(folder: RunFolder) -> list[str]:
    """What is wrong with the checkpoint now."""
    path = folder.checkpoint / FILE
    if not path.exists():
        return []
    try:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - not a dict
                file.get_tensor(name)
    except (OSError, SafetensorError) as error:
        return [f"{path}: {error}"]
    return []


if __name__ == "__main__":
    main()
