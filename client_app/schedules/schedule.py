"""Schedules by name."""

from __future__ import annotations

from collections.abc import Callable

from client_app.schedules.joint import train_jointly
from client_app.schedules.phases import train_in_phases
from client_app.schedules.separate import train_separately
from client_app.schedules.task import Task

SCHEDULES: dict[str, Callable[[Task], dict[str, float]]] = {
    "separate": train_separately,
    "joint": train_jointly,
    "phases": train_in_phases,
}


def train(task: Task) -> dict[str, float]:
    """One round of local training as the method, or else the run, says; the mean of each term of the objective."""
    return SCHEDULES["phases" if task.method.in_phases else task.config.fusion.loss](task)
