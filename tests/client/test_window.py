"""The tokeniser of sensor windows and its augmentation."""

from __future__ import annotations

import pytest
import torch

from client_app.encoders import encoder_of
from client_app.encoders.window import AXES, UNITS, cross_product_matrices
from concord.config import RunConfig

SENSORS = ("accelerometer", "gyroscope", "magnetometer")


def windows(batch: int = 6) -> torch.Tensor:
    """Gravity along one axis of each unit, and some movement."""
    generator = torch.Generator().manual_seed(0)
    x_BTK = 0.1 * torch.randn((batch, 125, UNITS * AXES), generator=generator)
    x_BTK[:, :, ::AXES] += 1
    return x_BTK


@pytest.mark.parametrize("sensor", SENSORS)
@pytest.mark.parametrize("batch", [1, 6])
def test_a_window_becomes_sixteen_finite_tokens(sensor: str, batch: int) -> None:
    tokens = encoder_of(RunConfig(), sensor).build(64)(windows(batch))
    assert tokens.embeds_BLD.shape == (batch, 16, 64)
    assert tokens.embeds_BLD.isfinite().all()
    assert tokens.mask_BL is None


def test_the_sensors_share_one_encoder_but_no_weights() -> None:
    assert len({encoder_of(RunConfig(), sensor).identity for sensor in SENSORS}) == 1
    first, second = (encoder_of(RunConfig(), sensor).build(64) for sensor in SENSORS[:2])
    assert not {p.data_ptr() for p in first.parameters()} & {p.data_ptr() for p in second.parameters()}


def test_a_sensor_that_is_still_gives_finite_tokens_and_gradients() -> None:
    tokeniser = encoder_of(RunConfig(), "accelerometer").build(64)
    x_BTK = torch.zeros(2, 125, 15, requires_grad=True)
    tokeniser(x_BTK).embeds_BLD.square().sum().backward()
    assert x_BTK.grad is not None
    assert x_BTK.grad.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in tokeniser.parameters())


@pytest.mark.parametrize("change", [lambda x: 3 * x, lambda x: -x, lambda x: x + 0.5], ids=["strength", "direction", "level"])
def test_strength_and_direction_are_not_standardised_away(change: object) -> None:
    torch.manual_seed(0)
    tokeniser = encoder_of(RunConfig(), "accelerometer").build(64)
    x_BTK = windows()
    before, after = (tokeniser(x).embeds_BLD for x in (x_BTK, change(x_BTK)))  # type: ignore[operator]
    assert (after - before).abs().mean() > 0.1


def test_a_view_depends_on_its_generator_alone_and_has_the_same_shape() -> None:
    augment = encoder_of(RunConfig(), "gyroscope").augment
    x_BTK = windows()
    first, again, other = (augment(x_BTK, 1.0, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert first.shape == x_BTK.shape
    assert first.equal(again)
    assert not first.equal(other)
    assert x_BTK.equal(windows())


def test_without_strength_a_view_is_the_window() -> None:
    x_BTK = windows()
    assert torch.allclose(encoder_of(RunConfig(), "gyroscope").augment(x_BTK, 0.0, torch.Generator()), x_BTK, atol=1e-6)


def test_a_view_turns_each_unit_a_little_and_keeps_gravity_nearly() -> None:
    x_BTK = torch.zeros(200, 125, UNITS * AXES)
    x_BTK[:, :, ::AXES] = 1
    view_BTK = encoder_of(RunConfig(), "accelerometer").augment(x_BTK, 1.0, torch.Generator().manual_seed(0))
    view_BUA = view_BTK.mean(1).unflatten(-1, (UNITS, AXES))
    assert view_BUA.norm(dim=-1).mean() == pytest.approx(1, abs=0.02)
    assert (view_BUA[..., 0] / view_BUA.norm(dim=-1)).min() > 0.85  # 30 degrees
    assert view_BUA[:, 0].sub(view_BUA[:, 1]).norm(dim=-1).min() > 0  # units turn apart


def test_the_exponential_of_a_cross_product_is_a_rotation() -> None:
    vector = torch.tensor([[0.0, 0.0, torch.pi / 2]])
    rotation = torch.linalg.matrix_exp(cross_product_matrices(vector))[0]
    assert torch.allclose(rotation @ torch.tensor([1.0, 0, 0]), torch.tensor([0, 1.0, 0]), atol=1e-6)
    assert torch.allclose(rotation @ rotation.T, torch.eye(3), atol=1e-6)
