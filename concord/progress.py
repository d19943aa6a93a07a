"""A run's progress, read from its ``metrics.jsonl``: live on a terminal, a line a round elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import fmean
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.filesize import decimal
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from concord.kinds import of_all_slices
from concord.run_folder import RunFolder

WAITING = "starting"


@dataclass(frozen=True)
class Progress:
    """What a run has come to.

    Attributes:
        done: the last round that was measured, 0 before there is one; ``rounds`` + 1 is the final evaluation.
        seconds_left: for the remaining rounds at the mean speed so far; None before the first.
        accuracy: the latest by modality, on the split that is measured first.
    """

    done: int = 0
    rounds: int = 0
    seconds_left: float | None = None
    accuracy: Mapping[str, float] = field(default_factory=dict)
    bytes_up: int = 0
    bytes_down: int = 0
    rejected: int = 0

    def line(self) -> str:
        """All of it in one line of plain text."""
        return f"{self.heading()}  {self.figures()}  {self.traffic()}  {self.time_left()}"

    def heading(self) -> str:
        return f"round {self.done}/{self.rounds}" if self.done <= self.rounds else "final evaluation"

    def figures(self) -> str:
        return "  ".join(f"{modality} {accuracy:.3f}" for modality, accuracy in self.accuracy.items()) or "not measured yet"

    def traffic(self) -> str:
        return f"up {decimal(self.bytes_up)}  down {decimal(self.bytes_down)}  rejected {self.rejected}"

    def time_left(self) -> str:
        if self.seconds_left is None:
            return WAITING
        minutes, seconds = divmod(round(self.seconds_left), 60)
        return f"{minutes}:{seconds:02d} left"


def summarise(lines: Iterable[Mapping[str, Any]]) -> Progress:
    """The progress that metrics lines tell of."""
    lines = list(lines)
    rounds = [line for line in lines if line.get("scope") == "round"]
    figures = [line for line in lines if line.get("scope") == "modality" and of_all_slices(str(line.get("modality", "")))]
    measured = [line for line in figures if line.get("accuracy") is not None]
    first_split = measured[0].get("split") if measured else None
    done, total = (int(rounds[-1]["round"]), int(rounds[-1]["rounds"])) if rounds else (0, 0)
    return Progress(
        done=done,
        rounds=total,
        seconds_left=fmean(line["seconds"] for line in rounds) * max(total - done, 0) if rounds else None,
        accuracy=dict(
            sorted({line["modality"]: line["accuracy"] for line in measured if line.get("split") == first_split}.items())
        ),
        bytes_up=sum(line["bytes-up"] for line in rounds),
        bytes_down=sum(line["bytes-down"] for line in rounds),
        rejected=sum(line["rejected"] for line in rounds),
    )


def render(progress: Progress) -> Table:
    """The progress as a small table."""
    table = Table.grid(padding=(0, 2))
    bar = ProgressBar(total=max(progress.rounds, 1), completed=progress.done, width=40, pulse=not progress.rounds)
    table.add_row(Text(progress.heading(), style="bold"), bar, progress.time_left())
    table.add_row("accuracy", progress.figures())
    table.add_row("traffic", progress.traffic())
    return table


class Watch:
    """Shows the progress of a run within ``with``; call it now and then."""

    def __init__(self, folder: RunFolder, console: Console) -> None:
        self._folder, self._console = folder, console
        self._live = Live(render(Progress()), console=console, transient=True) if console.is_terminal else None
        self._size = 0
        self._shown = summarise(folder.read_metrics()).done

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def __call__(self) -> None:
        size = self._folder.metrics.stat().st_size if self._folder.metrics.exists() else 0
        if size == self._size:
            return
        self._size = size
        progress = summarise(self._folder.read_metrics())
        if self._live:
            self._live.update(render(progress))
        elif progress.done > self._shown:
            self._shown = progress.done
            self._console.print(progress.line(), soft_wrap=True)
