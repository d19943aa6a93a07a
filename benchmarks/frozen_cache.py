"""Times epochs of what a frozen encoder gives: `python -m benchmarks.frozen_cache --encoder NAME [--markdown FILE]`.

The first epoch sends every sample through the pretrained model and keeps what it gives; a later one reads it from the disk,
in a process of its own, as each message of a run meets one. Texts are the names of numbers, pictures and sounds are noise.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from os import environ
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from num2words import num2words

from client_app.data.preparation.raw import Kind, Waveform
from client_app.data.preparation.registry import preparation_of
from client_app.pretrained.folder import find_pretrained

HEADING = """# What frozen encoders give, kept on the disk

Made by `python -m benchmarks.frozen_cache --samples {samples} --epochs {epochs}` with {about}. The first epoch loads the
pretrained model and sends every sample through it; a later one, in a new process, reads what was kept. Seconds are those of
preparing all samples, without the start of the process; on one thread of a busy machine, so those of the processor tell more.

"""


class Seconds(NamedTuple):
    """Seconds that passed, and those that the processor was busy."""

    passed: float
    computed: float


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.frozen_cache", description=__doc__.split("\n")[0])
    parser.add_argument("--encoder", required=True, help="a pretrained encoder, by hub name or folder")
    parser.add_argument("--samples", type=int, default=1000, help="samples of an epoch (default 1000)")
    parser.add_argument("--epochs", type=int, default=4, help="epochs, each in a process of its own (default 4)")
    parser.add_argument("--markdown", type=Path, help="write the table here too")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)  # a process of one epoch, which says its seconds
    options = parser.parse_args()
    if options.one:
        print(*epoch_seconds(options.encoder, options.samples))
        return
    text = table(measure(options.encoder, options.samples, options.epochs), options.samples)
    print(text)
    if options.markdown:
        about = find_pretrained(options.encoder).config
        described = f"a {about.model_type} of {about.num_hidden_layers} layers and width {about.hidden_size}"
        heading = HEADING.format(samples=options.samples, epochs=options.epochs, about=described)
        options.markdown.write_text(heading + text + "\n")


def measure(encoder: str, samples: int, epochs: int) -> list[Seconds]:
    """What each epoch takes, with a cache that is empty at first."""
    command = [sys.executable, "-m", "benchmarks.frozen_cache", "--one", "--encoder", encoder, "--samples", str(samples)]
    with tempfile.TemporaryDirectory() as cache:
        environment = environ | {"CONCORD_CACHE": cache, "OMP_NUM_THREADS": "1"}
        runs = (subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True) for _ in range(epochs))
        return [Seconds(*map(float, run.stdout.split())) for run in runs]


def epoch_seconds(encoder: str, samples: int) -> Seconds:
    """What preparing so many samples takes here and now."""
    preparation = preparation_of(f"frozen:{encoder}")
    raw = made_up(preparation.kind, samples)
    began = Seconds(time.perf_counter(), time.process_time())
    preparation.prepare_all(raw)
    return Seconds(time.perf_counter() - began.passed, time.process_time() - began.computed)


def made_up(kind: Kind, count: int) -> Sequence[Any]:
    """Samples of a kind, no two alike."""
    draw = np.random.default_rng(0)
    if kind == "text":
        return [num2words(number) for number in range(1_000_000, 1_000_000 + 777 * count, 777)]
    if kind == "image":
        return [draw.integers(0, 256, (128, 128, 3), dtype=np.uint8) for _ in range(count)]
    return [Waveform(draw.uniform(-0.5, 0.5, 16_000).astype(np.float32), 16_000) for _ in range(count)]


def table(epochs: Sequence[Seconds], samples: int) -> str:
    """One row an epoch."""
    first = epochs[0].computed
    rows = (
        f"| {epoch} | {passed:.2f} | {computed:.2f} | {samples / computed:,.0f} | {first / computed:.0f} |"
        for epoch, (passed, computed) in enumerate(epochs, 1)
    )
    heading = ("epoch", "seconds", "of the processor", "samples in one of these", "times as fast as the first")
    return "\n".join([f"| {' | '.join(heading)} |", "| --- " * len(heading) + "|", *rows])


if __name__ == "__main__":
    main()
