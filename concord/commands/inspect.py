"""The commands that only show or rewrite something: data, methods, configuration, report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from concord.commands.tables import config_table
from concord.errors import ConcordError
from concord.run_folder import RunFolder

if TYPE_CHECKING:
    from client_app.data.graph import NodeGraph
    from client_app.data.node_data import NodeData

STYLES = {"error": "red", "note": "yellow"}


def list_data(console: Console) -> None:
    """One block a suite."""
    from client_app.data.check import list_suites

    for row in list_suites():
        block = Table.grid(padding=(0, 2))
        facts = {"modalities": row.modalities, "files in --data": row.data, "licence": row.licence, "source": row.origin}
        for name, fact in facts.items():
            block.add_row(f"  {name}", Text(fact, overflow="fold"))
        console.print(Text(row.name, style="bold") + Text(f": {row.what}", style="default"))
        console.print(block)


def is_folder(name: str) -> bool:
    """Whether a name is that of a folder, and not of a suite; ConcordError C204 where it is neither."""
    from client_app.data.registry import SUITES

    if name not in SUITES and not Path(name).is_dir():
        hint = "name one of `concord data list`, or the folder of your own data"
        raise ConcordError("C204", f"{name!r} is neither a suite with files nor a folder", hint)
    return name not in SUITES


def check_data(suite: str, data: Path, console: Console) -> bool:
    """Whether the data of a suite is complete and can be read; shows what was found."""
    from client_app.data.check import check_suite

    findings = check_suite(suite, data)
    for finding in findings:
        text = f" {finding.path}: {finding.message}\n  What to do: {finding.hint}"
        console.print(Text(finding.severity, STYLES[finding.severity]) + Text(text), soft_wrap=True)
    errors = sum(finding.severity == "error" for finding in findings)
    console.print(f"{suite}: {errors} errors, {len(findings) - errors} notes")
    return errors == 0


def deal_data(
    out: Path,
    suite: str,
    scenario: str,
    data: Path | None,
    seed: int,
    names: Sequence[str],
    console: Console,
    encoders: str = "",
) -> None:
    """Writes the data of the nodes in `names` (all, if there is none) to folders of their own below `out`, or of one to it."""
    from client_app.data.federation import build_federation
    from client_app.data.node_folder import Origin, save_node

    federation = build_federation(suite, data, seed, scenario, encoders=encoders)
    nodes: dict[str, NodeData | NodeGraph] = {party.name: party for party in federation.parties}
    if unknown := [name for name in names if name not in nodes]:
        raise ConcordError("C203", f"suite {suite} has no node {unknown[0]!r}", f"choose from: {', '.join(nodes)}")
    origin = Origin(suite, seed, scenario, encoders if federation.graphs else "")
    for name in names or nodes:
        folder = out if len(names) == 1 else out / name
        written = save_node(folder, nodes[name], federation.anchors, origin)
        samples = ", ".join(f"{count} {modality}" for modality, count in nodes[name].sizes.items())
        console.print(f"{folder}: {samples} {'written' if written else 'already there'}", soft_wrap=True)


def write_anchors(
    out: Path, suite: str, scenario: str, data: Path | None, seed: int, console: Console, encoders: str = ""
) -> None:
    """Writes the public anchors of a suite to `out`; ConcordError C301 when that holds another set."""
    from client_app.data.federation import build_federation
    from concord.anchors import MANIFEST, load_anchors, save_anchors

    anchors = build_federation(suite, data, seed, scenario, encoders=encoders).anchors
    if (out / MANIFEST).exists() and load_anchors(out).digest != anchors.digest:
        raise ConcordError("C301", f"{out} holds another anchor set", "choose an empty folder, or delete this one")
    save_anchors(anchors, out)
    samples = ", ".join(f"{len(part)} {modality}" for modality, part in anchors.modalities.items())
    console.print(f"{out}: {samples}, set {anchors.digest[:12]}", soft_wrap=True)


def list_methods(console: Console) -> None:
    from strategies.registry import METHODS

    table = Table("method", "what it does")
    for name, entry in METHODS.items():
        table.add_row(name, entry.summary)
    console.print(table)


def show_config(console: Console) -> None:
    console.print(config_table())


def rewrite_report(path: Path, console: Console) -> None:
    """Makes ``report.html`` again from what the run folder holds; ConcordError C405 when it holds no run."""
    from server_app.report import write_report

    folder = RunFolder(path)
    folder.read_config()
    try:
        report = write_report(folder.path)
    except OSError as error:
        raise ConcordError("C405", f"{path}: {error}", "choose a folder that you may write to") from error
    console.print(f"report: {report}", soft_wrap=True)
