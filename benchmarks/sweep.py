"""Runs cases in parallel processes on the in-process grid and keeps their figures, one JSON line a case.

What is done is not done again, so a sweep that was stopped goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from concord.config import Scalar
from concord.run_folder import Line
from concord.samples import FUSED

Figures = dict[str, Any]
KEPT = ("accuracy", "retrieval", "ranking", "cka", "bytes", "seconds")
SEEDS = (0, 1, 2, 3, 4)


@dataclass(frozen=True)
class Row:
    """One line of a table: a method with settings that differ from the defaults."""

    name: str
    method: str
    settings: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One run: a row on a suite, with the settings that all rows of the suite have in common.

    Attributes:
        attack: what a fifth of the nodes do, see `benchmarks.attacks`; empty: all are honest.
    """

    suite: str
    row: Row
    scenario: str
    seed: int
    common: Mapping[str, Scalar] = field(default_factory=dict)
    attack: str = ""

    @property
    def key(self) -> str:
        """Name of the case in the results file of its suite."""
        return " | ".join([self.row.name, self.scenario, str(self.seed), *filter(None, [self.attack])])

    @property
    def digest(self) -> str:
        """Of the settings that differ from the defaults: a line of results with another digest is of another run."""
        return hashlib.sha256(json.dumps({**self.common, **self.row.settings}, sort_keys=True).encode()).hexdigest()[:12]


def run_cases(cases: Iterable[Case], data: Path, results: Path, jobs: int) -> None:
    """Runs the cases that `results` does not have yet, `jobs` at a time, one core each.

    Raises:
        RuntimeError: some failed, which it names; all others were run and kept.
    """
    done = read_results(results)
    todo = [case for case in cases if done.get(case.key, {}).get("settings", case.digest) != case.digest or case.key not in done]
    os.environ["OMP_NUM_THREADS"] = "1"
    results.parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        futures = {pool.submit(run_case, case, data): case for case in todo}
        failed = []
        for number, future in enumerate(as_completed(futures), 1):
            case, error = futures[future], future.exception()
            if error is not None:
                failed.append(case.key)
                print(f"[{number}/{len(todo)}] {case.key} failed: {error!r}", flush=True)
                continue
            figures = future.result()
            with results.open("a") as file:
                line = {"case": case.key, "settings": case.digest} | figures
                file.write(json.dumps(line, separators=(",", ":")) + "\n")
            print(f"[{number}/{len(todo)}] {case.key}: {figures['cpu-seconds']:.0f} s of CPU", flush=True)
    if failed:
        raise RuntimeError(f"{len(failed)} of {len(todo)} runs failed: {'; '.join(failed)}")


def read_results(results: Path) -> dict[str, Figures]:
    """Figures by case."""
    if not results.exists():
        return {}
    lines = (json.loads(line) for line in results.read_text().splitlines())
    return {line["case"]: line for line in lines}


def run_case(case: Case, data: Path) -> Figures:
    """One run on the in-process grid, of agents among themselves, or of contrastive training."""
    from benchmarks.agents.runner import run_agents
    from benchmarks.attacks import attack
    from benchmarks.emoji.cases import CONTRASTIVE, SUITE
    from benchmarks.emoji.contrastive import run_contrastive
    from benchmarks.emoji.held_out import held_out_figures
    from client_app.app import app
    from client_app.data.federation import federation_of
    from concord import load_model
    from concord.config import parse_config
    from server_app.in_process import InProcessGrid, pass_on
    from server_app.run import open_run
    from strategies.registry import METHODS

    with tempfile.TemporaryDirectory() as folder:
        config = parse_config(
            {
                "method": case.row.method,
                "suite": case.suite,
                "scenario": case.scenario,
                "data": str(data),
                "seed": case.seed,
                "run-folder": f"{folder}/run",
                **case.common,
                **case.row.settings,
            }
        )
        alone = run_contrastive if config.method == CONTRASTIVE else run_agents if METHODS[config.method].of_agents else None
        if alone is not None:
            begun = time.process_time()
            found: Figures = _rounded(alone(config))
            return found | {"cpu-seconds": round(time.process_time() - begun, 1)}
        federation = federation_of(config, pooled=METHODS[case.row.method].pooled)
        intercept = attack(case.attack, config, len(federation.parties)) if case.attack else pass_on
        grid = InProcessGrid(app, config.flat(), len(federation.parties), intercept)
        started = time.process_time()
        run = open_run(config, grid)
        result = run.rounds()
        if result.rejections and not case.attack:  # that an attacker is left out is a result
            raise RuntimeError(f"{case.key}: {result.rejections}")
        figures = result.model_dump(mode="json", by_alias=True, include=set(KEPT))
        figures["bytes"].pop("nodes")
        if curve := fused_curve(run.folder.read_metrics()):
            figures["curve"] = curve
        if case.suite == SUITE:
            model = load_model(run.folder.model)
            figures["held-out"] = held_out_figures(federation, lambda modality, samples: model.embed(modality, samples.x))
        rounded: Figures = _rounded(figures)
        return rounded | {"cpu-seconds": round(time.process_time() - started, 1)}


def fused_curve(lines: Iterable[Line]) -> list[float]:
    """Fused accuracy on the unseen split before round 1, before round 2, ..., and in the end."""
    fused = [line for line in lines if line["scope"] == "modality" and (line["modality"], line["split"]) == (FUSED, "unseen")]
    return [line["accuracy"] for line in sorted(fused, key=lambda line: line["round"])]


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return round(value, 4) if isinstance(value, float) else value
