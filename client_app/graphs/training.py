"""Local training on a graph: full-batch steps of Adam on what the method asks for.

Legend: see `client_app.graphs.network`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from client_app.data.graph import TRAIN, NodeGraph
from client_app.graphs.network import GraphNetwork, Seen
from client_app.graphs.tasks import task_loss
from client_app.schedules.descent import TOTAL, learning_rate
from concord.config import RunConfig
from concord.functional.grounding import grounding_loss
from concord.functional.prototypes import prototype_loss
from concord.functional.semantics import agreement_loss, anchor_moments, calibration_loss, usage_loss
from concord.seeding import seeded


@dataclass(frozen=True)
class Shared:
    """What the server says that parties have in common; None before there is any.

    Attributes:
        table: prototypes [K, D] and masses [K] of the anchors.
        prototypes: class means [C, H] and which classes have one.
        grounding: what the class means of all say of the party's nodes, as weights [N, C].
    """

    table: tuple[Tensor, Tensor] | None = None
    prototypes: tuple[Tensor, Tensor] | None = None
    grounding: Tensor | None = None


def train_network(network: GraphNetwork, graph: NodeGraph, config: RunConfig, shared: Shared, round_: int) -> dict[str, float]:
    """`local-steps` steps on all nodes at once; the mean of each term, and their ``total``.

    A party without a labelled node learns from what is left: the terms that need no label.
    """
    optimiser = torch.optim.Adam(network.parameters(), lr=learning_rate(config, round_), weight_decay=config.graph.l2, fused=True)
    sums: dict[str, float] = defaultdict(float)
    network.train()
    with seeded(config.seed, "training", graph.name, round_):  # dropout
        for _ in range(config.local_steps):
            terms = objective(network, graph, config, shared)
            total = torch.stack([torch.zeros((), device=graph.y.device), *terms.values()]).sum()
            if total.requires_grad:
                optimiser.zero_grad()
                total.backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm)
                optimiser.step()
            for name, term in (*terms.items(), (TOTAL, total)):
                sums[name] += float(term.detach()) / config.local_steps
    return dict(sums)


def objective(network: GraphNetwork, graph: NodeGraph, config: RunConfig, shared: Shared) -> dict[str, Tensor]:
    """Named scalar terms, already weighted."""
    seen, learnt_N = cache(lambda: network(graph)), graph.parts[TRAIN]  # not every method looks at the nodes' whole features
    task = task_loss(network, seen, graph, config)
    terms = {} if task is None else {"task": task}
    if config.method == "fedproto" and shared.prototypes is not None and len(learnt_N):
        weight = config.fedproto.weight
        terms["prototype"] = weight * prototype_loss(seen().hidden_NH[learnt_N], graph.y[learnt_N], *shared.prototypes)
    if config.method == "stage":
        terms |= semantic_terms(seen(), config, shared)
        if shared.grounding is not None:
            terms["grounding"] = config.stage.grounding_weight * grounding_loss(seen().out_NO, shared.grounding)
    return terms


def semantic_terms(seen: Seen, config: RunConfig, shared: Shared) -> dict[str, Tensor]:
    """STAGE's terms on how nodes are translated; a weight of 0 leaves one out."""
    settings = config.stage
    if seen.q_NK is None or seen.z_ND is None:
        return {}
    terms: dict[str, Tensor] = {}
    if settings.calibration_weight:
        prior_K = torch.full_like(seen.q_NK[0], 1 / settings.anchors)
        if settings.prior == "usage" and shared.table is not None:
            prior_K = (prior_K + shared.table[1] / shared.table[1].sum()) / 2  # never 0, so that the divergence is finite
        terms["calibration"] = settings.calibration_weight * calibration_loss(seen.q_NK, prior_K)
    if settings.entropy_weight:
        terms["entropy"] = settings.entropy_weight * usage_loss(seen.q_NK)
    if settings.agreement_weight and shared.table is not None:
        prototype_KD, mass_K = shared.table
        agreement = agreement_loss(seen.z_ND, seen.q_NK, prototype_KD, mass_K > 0, settings.temperature)
        terms["agreement"] = settings.agreement_weight * agreement
    return terms


@torch.no_grad()
def moments(network: GraphNetwork, graph: NodeGraph) -> tuple[Tensor, Tensor]:
    """What a party tells of its nodes: means [K, D] and masses [K], over the modalities of each node."""
    network.eval()
    seen = network(graph)
    if seen.u_MND is None or seen.q_NK is None:
        raise ValueError("only STAGE's network has moments")
    present_MN = torch.stack([graph.present[m] for m in graph.modalities])
    count_N = present_MN.sum(0)
    u_ND = (seen.u_MND * present_MN[..., None]).sum(0) / count_N.clamp(min=1)[:, None]
    described_N = count_N > 0
    mean_KD, mass_K = anchor_moments(u_ND[described_N], seen.q_NK[described_N])
    return mean_KD.cpu(), mass_K.cpu()
