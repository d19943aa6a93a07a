"""Warm-up of the tiny trunk on the public anchors, before round 1 and for every method alike.

Only the trunk is kept: tokenisers and heads start anew, so that no node gets a head start in its own modality.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from client_app.model import SHARED, MultimodalModel
from client_app.trunk import TINY
from concord.anchors import AnchorSet
from concord.config import RunConfig
from concord.seeding import generator_for

BATCH = 64


def warm_up(config: RunConfig, anchors: AnchorSet) -> dict[str, Tensor]:
    """Trunk weights after `warmup.steps` of supervised learning on the anchors of all modalities in turn.

    Empty where there is nothing to warm up: no steps, or a pretrained trunk.
    """
    if not config.warmup.steps or config.model.trunk != TINY:
        return {}
    whole = config.model_copy(update={"adapter": config.adapter.model_copy(update={"kind": "full", "scope": "shared"})})
    modalities = sorted(anchors.modalities)
    model = MultimodalModel(whole, modalities, len(anchors.concepts), head_scope="shared")
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.warmup.lr)
    generator = generator_for(config.seed, "warm-up")
    model.train()
    for step in range(config.warmup.steps):
        modality = modalities[step % len(modalities)]
        samples = anchors.of(modality)
        index = torch.randint(len(samples), (BATCH,), generator=generator)
        x = model.encoders[modality].augment(samples.x[index], 1.0, generator)
        loss = F.cross_entropy(model.classify(modality, model.embed(modality, x)), samples.y[index])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return {name: tensor.detach().clone() for name, tensor in model.trunks[SHARED].state_dict().items()}
