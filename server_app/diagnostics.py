"""What averaging leaves out: logged with every round, never used in training.

Legend: K nodes, R rank, O outputs, I inputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor

from client_app.trunk import ADAPTER, adapt_trunk, build_trunk, lora_layers
from concord.config import RunConfig
from concord.functional.lowrank import direction_gap
from strategies.checks.reply import Accepted


@dataclass(frozen=True)
class AdaptedLayer:
    """The frozen weight W0 [O, I] of a layer and the shared initial A [R, I] of its adapter."""

    w0_OI: Tensor
    a_RI: Tensor


def adapted_layers(config: RunConfig, base: Mapping[str, Tensor] | None) -> dict[str, AdaptedLayer]:
    """The layers whose direction DoRA averages, by name; none for other adapters."""
    if config.adapter_kind != "dora":
        return {}
    trunk = adapt_trunk(build_trunk(config, base), config, config.adapter.rank)
    return {
        name: AdaptedLayer(layer.get_base_layer().weight.detach(), layer.lora_A[ADAPTER].weight.detach())
        for name, layer in lora_layers(trunk)
    }


def mean_direction_gap(
    layers: Mapping[str, AdaptedLayer], accepted: Sequence[Accepted], shares: Mapping[str, Mapping[str, float]], scale: float
) -> float | None:
    """Relative gap between the average of the nodes' directions and the direction of the average, mean over all layers.

    Averaging B is exact for the update B A, but not for the renormalised weight that DoRA makes of it.

    Args:
        layers: from `adapted_layers`.
        accepted: the replies of a round.
        shares: per group, the share of each node in the average.
        scale: s = alpha / R.

    Returns:
        The gap, or None where no trunk was averaged.
    """
    gaps = []
    for trunk in (group for group in shares if group.partition(".")[0] == "trunk"):
        sent = [(a.groups[trunk], shares[trunk][a.census.node]) for a in accepted if trunk in a.groups]
        if not sent:  # sparse updates, whose sum is no sum of directions
            continue
        weights_K = torch.tensor([share for _, share in sent])
        for name, layer in layers.items():
            factors = [
                (group[f"{name}.b"], group.get(f"{name}.a", layer.a_RI[: group[f"{name}.b"].shape[1]])) for group, _ in sent
            ]
            gaps.append(float(direction_gap(layer.w0_OI, factors, weights_K, scale)))
    return fmean(gaps) if gaps else None
