"""A bar for work on a user's own data, for as long as there is any."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())


@contextmanager
def bar(console: Console, *, hidden: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """Gives what moves the bar: what is being done, how much of it, out of how much. Without a terminal there is no bar."""
    with Progress(*COLUMNS, console=console, transient=True, disable=hidden or not console.is_terminal) as progress:
        task = progress.add_task("", total=None, visible=False)

        def advance(doing: str, done: int, total: int) -> None:
            progress.update(task, description=doing, completed=done, total=total, visible=True)

        yield advance
