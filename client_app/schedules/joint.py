"""All modalities of an instance together: one loss on the sum of their logits.

The usual way to train a multimodal model by late fusion, and the peer that chained phases are compared with: strong
modalities fit first and leave weak ones little gradient. ``fusion.dropout`` hides modalities at random against that.

Legend: B batch, C classes, M modalities.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from client_app.instances import ABSENT, Instances, labelled_instances
from client_app.model import trainable_parameters
from client_app.schedules.descent import Descent
from client_app.schedules.task import Task
from client_app.views import LABELLED, Batches, draw_views, endless


def train_jointly(task: Task) -> dict[str, float]:
    """`local-steps` steps on the cross-entropy of the summed logits; the mean of each term.

    The method's terms see the anchors alone, which are of one modality each.
    """
    instances = labelled_instances(task.learned)
    generator = task.generator("joint")
    batches = endless(torch.arange(len(instances.ids)), task.config.batch_size, generator)
    anchors = {m: task.anchor_batches(m) for m in task.samples} if task.method.sees_anchors else {}
    descent = Descent(trainable_parameters(task.model), task.config, task.round_, task.method)
    task.model.train()
    for _ in range(task.config.local_steps):
        descent.step(lambda: _terms(task, instances, next(batches, None), anchors, generator))
    return descent.means()


def _terms(
    task: Task, instances: Instances, index_B: Tensor | None, anchors: Mapping[str, Batches], generator: Generator
) -> Iterator[tuple[str, Tensor]]:
    if index_B is not None:
        logits_BC = _summed_logits(task, instances, index_B, generator)
        yield "joint", F.cross_entropy(logits_BC, instances.y_N[index_B].to(task.device))
    for modality, source in anchors.items():
        views = draw_views(task.model, modality, source, augment=task.config.augment, device=task.device)
        yield from task.method.terms(views, task.agreed).items()


def _summed_logits(task: Task, instances: Instances, index_B: Tensor, generator: Generator) -> Tensor:
    """Logits [B, C], summed over the modalities of each instance that are there and not hidden in this step."""
    present_BM = torch.stack([instances.rows[m][index_B] != ABSENT for m in task.samples], dim=1)
    shown_BM = present_BM & visible(present_BM, task.config.fusion.dropout, generator)
    logits_BC = torch.zeros(len(index_B), task.model.classes, device=task.device)
    for column, (modality, samples) in enumerate(task.samples.items()):
        shown_B = torch.nonzero(shown_BM[:, column]).flatten()
        if len(shown_B):
            x = samples.x[instances.rows[modality][index_B[shown_B]]]
            x = task.model.encoders[modality].augment(x, LABELLED, generator) if task.config.augment else x
            own_BC = task.model.classify(modality, task.model.embed(modality, x.to(task.device)))
            logits_BC = logits_BC.index_add(0, shown_B.to(task.device), own_BC)
    return logits_BC


def visible(present_BM: Tensor, dropout: float, generator: Generator) -> Tensor:
    """Which modalities of each instance a step shows, [B, M]: hidden with probability `dropout`, never all."""
    draw_BM = torch.rand(present_BM.shape, generator=generator)
    luckiest_B = draw_BM.masked_fill(~present_BM, -1.0).argmax(1)
    return (draw_BM >= dropout).scatter(1, luckiest_B[:, None], value=True)
