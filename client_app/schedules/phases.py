"""One modality at a time: its encoder, adapter and head are trained, all others are frozen and in evaluation mode.

Published (FedMChain, Zhang et al., arXiv 2606.01856): phases with windows of their own, and a regulariser that asks a later
modality to complement the earlier ones. Reconstructed: what they see of each other (the summed logits) and the orders.

Legend: N samples, B batch, C classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from client_app.instances import instances_named, summed_logits
from client_app.measure import classify_all
from client_app.model import trainable_parameters
from client_app.schedules.descent import Descent
from client_app.schedules.task import Task
from client_app.views import Batches, draw_views
from concord.functional.chain import chain_order
from concord.samples import NO_LABEL

LOSS = "chain-loss"  # memory: mean training loss of a modality when a round began


def train_in_phases(task: Task) -> dict[str, float]:
    """`fedmchain.passes` passes over the chain, `local-steps` steps a modality in all; the mean of each term by modality.

    A step of a phase takes one batch of one modality, so a round has as many batches of each as when all are trained together.
    """
    settings = task.config.fedmchain
    batches = {modality: task.batches(modality) for modality in task.samples}
    chain = _order(task)
    descents = {m: Descent(trainable_parameters(*task.model.parts_of(m)), task.config, task.round_, task.method) for m in chain}
    for pass_ in range(settings.passes):
        all_have_begun = task.round_ > 1 or pass_ > 0
        for position, modality in enumerate(chain):
            others = [m for m in chain if m != modality] if settings.context == "others" and all_have_begun else chain[:position]
            context_NC = context(task, modality, others) if others and task.method.complements else None
            task.model.train_only(modality)
            row_of = {name: row for row, name in enumerate(task.samples[modality].ids)}
            terms = partial(_terms, task, modality, batches[modality], row_of, context_NC)
            for _ in range(window(task.config.local_steps, settings.passes, pass_)):
                descents[modality].step(terms)
    return {f"{name}.{m}": value for m, descent in descents.items() for name, value in descent.means().items()}


def _terms(
    task: Task, modality: str, batches: Batches, row_of: Mapping[str, int], context_NC: Tensor | None
) -> Iterable[tuple[str, Tensor]]:
    """The terms of one batch of one modality; where it complements others, with their logits, by the row of a sample's id."""
    views = draw_views(task.model, modality, batches, augment=task.config.augment, device=task.device)
    terms = task.method.terms(views, task.agreed)
    if context_NC is not None and views.labelled is not None:
        rows = [row_of[name] for name in views.labelled.ids]
        terms |= task.method.complement(views.labelled, context_NC[rows])
    return terms.items()


def window(steps: int, passes: int, pass_: int) -> int:
    """Steps of a phase in pass `pass_` (from 0) of `passes`, as even as can be; `steps` in all."""
    return steps // passes + (pass_ < steps % passes)


def context(task: Task, modality: str, others: Sequence[str]) -> Tensor:
    """F [N, C]: logits of `others`, summed, for each sample of `modality`; zero where they have no sample of the instance."""
    own = task.samples[modality]
    rows = instances_named({m: task.samples[m] for m in (modality, *others)}, own.ids).rows
    parts = ((classify_all(task.model, other, task.samples[other], task.device), rows[other]) for other in others)
    return summed_logits(parts, len(own), task.model.classes).to(task.device)


def _order(task: Task) -> list[str]:
    """The chain of this round; what the next one needs to know is left in the memory."""
    order, modalities = task.config.fedmchain.order, list(task.samples)
    if order == "fixed":
        return chain_order(modalities, order, {}, {})
    now = {modality: _loss(task, modality) for modality in modalities}
    before = {m: float(task.memory[f"{LOSS}/{m}"]) for m in modalities if f"{LOSS}/{m}" in task.memory}
    task.memory.update({f"{LOSS}/{m}": torch.tensor(loss) for m, loss in now.items()})
    return chain_order(modalities, order, now, before)


def _loss(task: Task, modality: str) -> float:
    samples = task.samples[modality]
    labelled = samples.take(torch.nonzero(samples.y != NO_LABEL).flatten())
    if not len(labelled):
        return 0.0
    logits_NC = classify_all(task.model, modality, labelled, task.device)
    return float(F.cross_entropy(logits_NC, labelled.y.to(task.device)))
