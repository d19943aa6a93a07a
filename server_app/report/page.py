"""The page from what a run folder holds."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from concord.config import parse_config
from concord.run_folder import RunFolder, atomic_write, has_finished
from server_app.report import charts, palette, panels
from server_app.report.cards import headline
from server_app.report.formats import duration, percent, score, size, whole
from server_app.report.prototypes import prototype_pictures
from server_app.report.run_view import Line, Run, of_whole_models
from server_app.report.sections import LEFT_OUT, SECTIONS
from server_app.report.template import TEMPLATE
from server_app.results import Result, load_result

# What the page calls those who take part.
NODES = {"node": "Node", "nodes": "nodes", "modality": "Modality", "modalities": "modalities"}
AGENTS = {"node": "Agent", "nodes": "agents", "modality": "Kind", "modalities": "kinds"}
PARTIES = {"node": "Party", "nodes": "parties", "modality": "Prediction", "modalities": "modalities"}
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
    lines = tuple(metrics)
    over = result is not None and has_finished(lines, config.get("rounds"), result.rounds)
    everything = Run(config, lines, result if over else None)
    run = of_whole_models(everything)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(percent=percent, score=score, size=size, duration=duration, whole=whole)
    environment.globals.update(bar=charts.bar, palette=palette)
    return environment.from_string(TEMPLATE).render(
        run=run,
        title=f"{run.method.title if run.method else run.setting('method')} on {run.setting('suite')}",
        contents=_contents(run),
        words=AGENTS if run.of_agents else PARTIES if run.of_graphs else NODES,
        cards=headline(run),
        accuracy_charts=panels.accuracy_charts(run),
        node_rows=panels.node_rows(run),
        slice_tables=panels.slice_tables(everything),
        ranking_charts=panels.ranking_charts(run),
        ranking_rows=panels.ranking_rows(run),
        absent_rows=panels.absent_rows(everything),
        prototypes=prototype_pictures(run),
        grounding=panels.grounding(run),
        homophily_charts=panels.homophily_charts(run),
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


def _contents(run: Run) -> dict[str, str]:
    """The sections of the page by id."""
    left_out = LEFT_OUT["agents" if run.of_agents else run.task if run.of_graphs else "samples"]
    of_stage = run.setting("method") == "stage"
    told = {"prototypes": of_stage, "homophily": of_stage and run.config.get("stage.homophily-control") is True}
    return {name: title for name, (title, _) in SECTIONS.items() if name not in left_out and told.get(name, True)}


def _command(config: Mapping[str, Any]) -> str:
    """The command line that repeats the run: every setting that is not the default, but for where it is written."""
    usual = parse_config({}).flat() | COMMAND_DEFAULTS
    changed = {key: value for key, value in config.items() if key not in ("run-folder", "resume") and value != usual.get(key)}
    return " ".join(["concord run", *(f"--set {shlex.quote(f'{key}={_plain(value)}')}" for key, value in changed.items())])


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
