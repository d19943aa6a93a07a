"""All modalities in every step, each with batches and a loss of its own: nothing needs to be paired."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

from client_app.model import trainable_parameters
from client_app.schedules.descent import Descent
from client_app.schedules.task import Task
from client_app.views import Batches, draw_views


def train_separately(task: Task) -> dict[str, float]:
    """`local-steps` steps on the sum of the method's terms over all modalities; the mean of each term."""
    batches = {modality: task.batches(modality) for modality in task.samples}
    descent = Descent(trainable_parameters(task.model), task.config, task.round_, task.method)
    task.model.train()
    for _ in range(task.config.local_steps):
        descent.step(lambda: _terms(task, batches))
    return descent.means()


def _terms(task: Task, batches: Mapping[str, Batches]) -> Iterator[tuple[str, Tensor]]:
    for modality, source in batches.items():
        views = draw_views(
            task.model,
            modality,
            source,
            augment=task.config.augment,
            strong=task.config.geolora.consistency,
            device=task.device,
        )
        yield from task.method.terms(views, task.agreed).items()
