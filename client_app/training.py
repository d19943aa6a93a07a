"""Local training: a number of optimiser steps over the node's modalities."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping

import torch

from client_app.methods import Agreed, Method
from client_app.model import MultimodalModel, trainable_parameters
from client_app.views import Batches, draw_views
from concord.config import RunConfig
from concord.samples import Samples
from concord.seeding import generator_for


def train(
    model: MultimodalModel,
    samples: Mapping[str, Samples],
    anchors: Mapping[str, Samples],
    method: Method,
    agreed: Agreed,
    config: RunConfig,
    *,
    owner: str,
    round_: int,
    device: torch.device,
) -> dict[str, float]:
    """Takes `local-steps` AdamW steps on the sum of the method's terms over all modalities, in place.

    Batches and views depend only on the run's seed, the node and the round.

    Returns:
        The mean of each term over the steps, and ``total``.
    """
    batches = {}
    for m, own in samples.items():
        part = own if method.learns_from_samples else own.take([])
        pseudo = method.pseudo_labels(model, m, part, anchors[m], agreed)
        generator = generator_for(config.seed, "batches", owner, m, round_)
        batches[m] = Batches(part, pseudo, anchors[m], config.batch_size, generator)
    parameters = trainable_parameters(model)
    optimiser = torch.optim.AdamW(parameters, lr=learning_rate(config, round_), weight_decay=config.weight_decay, fused=True)
    sums: dict[str, float] = defaultdict(float)
    model.train()
    for _ in range(config.local_steps):
        optimiser.zero_grad()
        total = torch.zeros((), device=device)
        for modality, source in batches.items():
            views = draw_views(model, modality, source, augment=config.augment, strong=config.geolora.consistency, device=device)
            for name, term in method.terms(views, agreed).items():
                total = total + term
                sums[name] += float(term.detach())
        if total.requires_grad:
            total.backward()
            torch.nn.utils.clip_grad_norm_(parameters, config.clip_norm)
            optimiser.step()
        sums["total"] += float(total.detach())
    return {name: value / config.local_steps for name, value in sums.items()}


def learning_rate(config: RunConfig, round_: int) -> float:
    """Cosine decay over the rounds, from `lr` to a tenth of it."""
    progress = (round_ - 1) / max(1, config.rounds - 1)
    return config.lr * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))
