"""The commands that only show or rewrite something: data, methods, configuration, report."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from concord.commands.tables import config_table
from concord.errors import ConcordError
from concord.run_folder import RunFolder

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


def check_data(suite: str, data: Path, console: Console) -> bool:
    """Whether the data of a suite is complete and can be read; shows what was found."""
    from client_app.data.check import check_suite

    findings = check_suite(suite, data)
    for finding in findings:
        text = f" {finding.path}: {finding.message}\n  What to do: {finding.hint}"
        console.print(Text(finding.severity, STYLES[finding.severity]) + Text(text), soft_wrap=True)
    errors = sum(finding.severity == "error" for finding in findings)
    console.print(f"{suite}: {errors} errors, {len(findings) - errors} notes", highlight=False)
    return errors == 0


def list_methods(console: Console) -> None:
    from strategies.registry import METHODS

    table = Table("method", "what it does")
    for name, entry in METHODS.items():
        table.add_row(name, Text(entry.summary))
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
    console.print(f"report: {report}", soft_wrap=True, highlight=False)
