"""The tokeniser of time series of any channels, and its augmentation."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from client_app.encoders import encoder_of
from client_app.encoders.encoder import Encoder
from client_app.encoders.series import SeriesTokeniser
from concord.config import RunConfig
from concord.errors import ConcordError


def series(channels: int = 3, batch: int = 6) -> Tensor:
    """Waves of one amplitude about one level."""
    generator = torch.Generator().manual_seed(0)
    phase_B1K = 6 * torch.rand((batch, 1, channels), generator=generator)
    return 80 + 5 * torch.sin(0.3 * torch.arange(128.0)[None, :, None] + phase_B1K)


def encoder(channels: int = 3) -> Encoder:
    return encoder_of(RunConfig(encoders=f"vitals=series:{channels}"), "vitals")


@pytest.mark.parametrize("channels", [1, 3, 40])
def test_a_series_of_any_channels_becomes_sixteen_finite_tokens(channels: int) -> None:
    tokens = encoder(channels).build(64)(series(channels))
    assert tokens.embeds_BLD.shape == (6, 16, 64)
    assert tokens.embeds_BLD.isfinite().all()


def test_parties_with_other_channels_are_told_apart() -> None:
    assert [encoder(channels).identity for channels in (2, 3)] == ["series-conv-1 2", "series-conv-1 3"]


@pytest.mark.parametrize("channels", ["", "0", "-1", "1025", "99999999999", "٣", "x", "3:4"])
def test_what_is_no_number_of_channels_is_refused(channels: str) -> None:
    with pytest.raises(ConcordError, match="C204"):
        encoder_of(RunConfig(encoders=f"vitals=series:{channels}"), "vitals")


@pytest.mark.parametrize("level", [0.0, 101_325.0])
def test_a_channel_that_does_not_move_gives_finite_tokens_and_gradients(level: float) -> None:
    tokeniser = encoder().build(32)
    x_BTK = torch.full((2, 128, 3), level, requires_grad=True)
    tokeniser(x_BTK).embeds_BLD.square().sum().backward()
    assert x_BTK.grad is not None
    assert x_BTK.grad.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in tokeniser.parameters())


CHANGES = {"amplitude": lambda x: 80 + 3 * (x - 80), "direction": lambda x: 160 - x, "level": lambda x: x + 4}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_level_amplitude_and_direction_are_not_standardised_away(change: Callable[[Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    tokeniser = encoder().build(64)
    before, after = (tokeniser(x).embeds_BLD for x in (series(), change(series())))
    assert (after - before).abs().mean() > 0.05


def test_the_shape_of_a_channel_counts_alike_in_any_unit() -> None:
    torch.manual_seed(0)
    tokeniser = encoder().build(64)
    assert isinstance(tokeniser, SeriesTokeniser)
    torch.nn.init.zeros_(tokeniser.level.weight)
    in_mmhg, in_pascal = (tokeniser(x).embeds_BLD for x in (series(), 133.322 * series()))
    assert torch.allclose(in_mmhg, in_pascal, atol=1e-3)


def test_a_view_depends_on_its_generator_alone() -> None:
    augment, x_BTK = encoder().augment, series()
    first, again, other = (augment(x_BTK, 1.0, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert first.shape == x_BTK.shape
    assert first.equal(again)
    assert not first.equal(other)
    assert x_BTK.equal(series())
    assert torch.allclose(augment(x_BTK, 0.0, torch.Generator()), x_BTK, atol=1e-4)


def test_a_view_keeps_the_level_and_nearly_the_amplitude_of_each_channel() -> None:
    x_BTK = series(batch=200)
    view_BTK = encoder().augment(x_BTK, 1.0, torch.Generator().manual_seed(0))
    assert torch.allclose(view_BTK.mean((0, 1)), x_BTK.mean((0, 1)), atol=0.5)
    ratio_BK = view_BTK.std(1) / x_BTK.std(1)
    assert ratio_BK.mean() == pytest.approx(1, abs=0.02)
    assert 0.05 < ratio_BK.std() < 0.2
