"""The page from what a run folder holds."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from concord.config import parse_config
from concord.kinds import of_all_slices
from concord.run_folder import RunFolder, atomic_write, has_finished
from server_app.report import charts, palette, panels
from server_app.report.cards import headline
from server_app.report.formats import duration, percent, score, size, whole
from server_app.report.run_view import Line, Run
from server_app.report.template import TEMPLATE
from server_app.results import Result, load_result

METHODS = {
    "geolora": "GeoLoRA",
    "fedavg": "FedAvg",
    "fedprox": "FedProx",
    "fedmchain": "FedMChain",
    "fedproto": "FedProto",
    "local": "Local training",
    "anchors-only": "Anchors only",
    "self-training": "Self-training",
    "centralised": "Centralised training",
    "parse": "PARSE",
    "dsgd-modality-sliced": "DSGD by modality, PARSE's model",
    "dsgd-modality": "DSGD by modality",
    "dsgd-task": "DSGD by task",
    "dsgd-hybrid": "DSGD hybrid",
    "harmony": "Harmony",
    "alone": "Agents alone",
}
COMMAND_DEFAULTS = {"share-test-embeddings": True}


def write_report(run_folder: Path) -> Path:
    """Writes ``report.html`` in a run folder and returns its path."""
    folder = RunFolder(run_folder)
    result = load_result(run_folder) if folder.result.exists() else None
    page = render_report(folder.read_config(), folder.read_metrics(), result)
    atomic_write(folder.report, page.encode(errors="replace"))
    return folder.report


def render_report(config: Mapping[str, Any], metrics: Iterable[Line], result: Result | None) -> str:
    """The page, from the flat configuration, the lines of ``metrics.jsonl``, and the final figures if there are any.

    Where a finished run was resumed and has not finished again, the old final figures do not count.
    """
    lines = tuple(line for line in metrics if of_all_slices(str(line.get("modality", ""))))
    over = result is not None and has_finished(lines, config.get("rounds"), result.rounds)
    run = Run(config, lines, _of_whole_models(result) if result is not None and over else None)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(percent=percent, score=score, size=size, duration=duration, whole=whole)
    environment.globals.update(bar=charts.bar, palette=palette)
    return environment.from_string(TEMPLATE).render(
        run=run,
        title=f"{METHODS.get(run.setting('method'), run.setting('method'))} on {run.setting('suite')}",
        cards=headline(run),
        accuracy_charts=panels.accuracy_charts(run),
        node_rows=panels.node_rows(run),
        cka_charts=panels.cka_charts(run),
        cka_map=panels.cka_map(run),
        precision_maps=panels.retrieval_maps(run.result, panels.precision),
        ranking_maps=panels.retrieval_maps(run.result, panels.ranking),
        weight_panels=panels.weight_panels(run),
        gap_chart=panels.gap_chart(run),
        byte_chart=panels.byte_chart(run),
        round_rows=panels.round_rows(run),
        command=_command(run.config),
    )


def _of_whole_models(result: Result) -> Result:
    """The figures without those of slices, of which there are six for each kind of agent."""
    accuracy = {s: {n: one for n, one in by.items() if of_all_slices(n)} for s, by in result.accuracy.items()}
    nodes = {
        node: {s: {n: one for n, one in by.items() if of_all_slices(n)} for s, by in splits.items()}
        for node, splits in result.node_accuracy.items()
    }
    return result.model_copy(update={"accuracy": accuracy, "node_accuracy": nodes})


def _command(config: Mapping[str, Any]) -> str:
    """The command line that repeats the run: every setting that is not the default, but for where it is written."""
    usual = parse_config({}).flat() | COMMAND_DEFAULTS
    changed = {key: value for key, value in config.items() if key not in ("run-folder", "resume") and value != usual.get(key)}
    return " ".join(["concord run", *(f"--set {shlex.quote(f'{key}={_plain(value)}')}" for key, value in changed.items())])


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
