"""``concord peer``: one agent without a server, and what it says while it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from concord.kinds import of_all_slices
from concord.names import shown
from concord.run_folder import Line


def run(path: Path, console: Console, *, quiet: bool) -> None:
    """Runs an agent to its end and prints its figures."""
    from peer_app.app import run_agent

    result = run_agent(path, lambda line: None if quiet else say(line, console))
    console.print(figures_table(result))


def say(line: Line, console: Console) -> None:
    """A line of the log for people; most are for the file alone."""
    if line["scope"] == "round":
        total = line["losses"].get("total")
        loss = f"loss {total:.3f}, " if total is not None else ""
        traffic = f"{line['bytes-up'] / 1000:.0f} kB out, {line['bytes-down'] / 1000:.0f} kB in"
        text = f"round {line['round']}/{line['rounds']}: {loss}{line['agents']} others, {traffic}, {line['seconds']:.1f} s"
    elif line["scope"] == "link" and line["received"] != "taken":
        text = f"round {line['round']}: {line['neighbour']}: {line['received']} (sent to it: {line['sent']})"
    elif line["scope"] == "member":
        text = f"round {line['round']}: {line['agent']} {line['event']} {line['detail']}".rstrip()
    else:
        return
    console.print(shown(text, len(text)), soft_wrap=True)  # others wrote some of it


def figures_table(result: dict[str, Any]) -> Table:
    """Accuracy of the agent's predictions by split."""
    heard = result["heard-from"]
    caption = None if heard else "It heard nobody: see member and link in metrics.jsonl."
    table = Table(title=f"{result['agent']} ({result['method']} on {result['suite']})", caption=caption)
    splits = list(result["accuracy"])
    for header in ("prediction", *splits):
        table.add_column(header, justify="left" if header == "prediction" else "right")
    names = dict.fromkeys(name for split in splits for name in result["accuracy"][split])
    for name in sorted(names, key=lambda name: not of_all_slices(name)):
        table.add_row(name, *(f"{result['accuracy'][split][name]:.3f}" for split in splits))
    return table
