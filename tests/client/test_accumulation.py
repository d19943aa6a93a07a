"""Steps of several batches: the gradient is the mean of theirs, in every schedule."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from test_schedules import CHAIN, paired, task_of
from tiny_agents import BOTH, agent, agent_config
from tiny_run import Settings, tiny_config
from torch import Tensor, nn
from torch.nn import functional as F

from client_app.methods import method_of
from client_app.schedules import train
from client_app.schedules.descent import Descent

ONE_STEP: Settings = {"local-steps": 1, "augment": False, "clip-norm": 1e9}
LARGE: Settings = {**ONE_STEP, "batch-size": 12}
SMALL: Settings = {**ONE_STEP, "batch-size": 3, "accumulate": 4}


def gradients(module: nn.Module) -> Tensor:
    return torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None])


def test_the_gradient_of_a_step_is_the_mean_over_its_batches(tmp_path: Path) -> None:
    x_BI, y_B = torch.randn(12, 5, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 3
    config = tiny_config(tmp_path, {"accumulate": 3, "clip-norm": 1e9, "method": "fedprox", "fedprox.mu": 2.0})
    layer = nn.Linear(5, 3, bias=False)
    descent = Descent(list(layer.parameters()), config, 1, method_of(config))
    with torch.no_grad():
        layer.weight.add_(0.5)  # away from where the round began: the penalty pulls back
    weight = layer.weight.detach().clone().requires_grad_()
    loss = F.cross_entropy(x_BI @ weight.T, y_B)
    (own,) = torch.autograd.grad(loss, weight)
    parts = iter(zip(x_BI.split(4), y_B.split(4), strict=True))

    def batch() -> list[tuple[str, Tensor]]:
        x, y = next(parts)
        return [("task", F.cross_entropy(layer(x), y))]

    descent.step(batch)
    assert next(parts, None) is None
    assert layer.weight.grad is not None
    torch.testing.assert_close(layer.weight.grad, own + 2.0 * 0.5)
    assert not torch.equal(layer.weight, weight)
    mean = float(loss.detach())
    assert descent.means() == pytest.approx({"task": mean, "proximal": 15 * 0.25, "total": mean + 15 * 0.25})


@pytest.mark.parametrize("schedule", [{"method": "local"}, {"method": "local", "fusion.loss": "joint"}, {**CHAIN}], ids=str)
def test_a_step_of_four_batches_is_that_of_a_batch_four_times_as_large(schedule: Settings, tmp_path: Path) -> None:
    large, small = (task_of(tmp_path, {**size, **schedule}) for size in (LARGE, SMALL))
    losses = [train(task) for task in (large, small)]
    torch.testing.assert_close(gradients(small.model), gradients(large.model), atol=1e-6, rtol=1e-4)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert len(paired()["image"]) == 12


def test_a_step_of_an_agent_too(tmp_path: Path) -> None:
    def trained(size: Settings) -> Tensor:
        one = agent(agent_config(tmp_path, "dsgd-modality", {**ONE_STEP, **size}), "a", BOTH)  # of 10 labelled samples
        one.train(1, {})
        return gradients(one.model)

    torch.testing.assert_close(trained({"batch-size": 2, "accumulate": 5}), trained({"batch-size": 10}), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("terms", [(), (("task", torch.zeros(())),)], ids=["none", "constant"])
def test_batches_without_anything_to_learn_change_nothing(terms: Sequence[tuple[str, Tensor]], tmp_path: Path) -> None:
    layer = nn.Linear(2, 2)
    before = layer.weight.detach().clone()
    Descent(list(layer.parameters()), tiny_config(tmp_path, {"accumulate": 2}), 1).step(lambda: terms)
    assert torch.equal(layer.weight, before)
