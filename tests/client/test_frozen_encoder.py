"""A modality whose encoder is a frozen pretrained one: named in the run, told in the census, projected and trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_pretrained import KINDS, WIDTH, raw_sample, save_tiny
from tiny_run import tiny_config

from client_app.data.preparation.registry import preparation_of
from client_app.encoders import encoder_of
from client_app.encoders.frozen import NOISE
from client_app.holdings import holdings_of
from client_app.methods import Agreed, method_of
from client_app.model import MultimodalModel
from client_app.schedules import train
from client_app.schedules.task import Task
from concord.config import RunConfig
from concord.errors import ConcordError
from concord.samples import Samples


@pytest.mark.parametrize("family", ["bert", "vit", "whisper"])
def test_a_run_names_a_frozen_encoder_and_its_samples_are_prepared_for_it(family: str, tmp_path: Path) -> None:
    name = f"frozen:{save_tiny(tmp_path, family)}"
    preparation = preparation_of(name)
    assert preparation.kind == KINDS[family]
    samples = [raw_sample(family, seed, size) for seed, size in enumerate((20, 4))]
    x = preparation.prepare_all(samples)
    assert torch.equal(x, torch.stack([preparation.prepare(sample) for sample in samples]))
    tokens = encoder_of(RunConfig(encoders=f"mine={name}"), "mine").build(8)(x)
    assert tokens.embeds_BLD.shape == (*x.shape[:2], 8)
    assert torch.equal(tokens.mask_BL, x.any(-1))


def test_nodes_with_other_weights_are_told_apart_by_the_census(tmp_path: Path) -> None:
    samples = Samples(torch.zeros(1, 16, WIDTH), torch.zeros(1, dtype=torch.int64), ("a",))
    names = [save_tiny(tmp_path / str(seed), "bert", seed) for seed in (0, 1)]
    told = [holdings_of(RunConfig(encoders=f"notes=frozen:{name}"), {"notes": samples})[0].encoder for name in names]
    assert told[0].startswith(f"frozen-1 {names[0]} ")
    assert told[0].split()[-1] != told[1].split()[-1]


def test_a_frozen_encoder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConcordError, match=f"C103.*{tmp_path}"):
        encoder_of(RunConfig(encoders=f"notes=frozen:{tmp_path}"), "notes")
    with pytest.raises(ConcordError, match=f"C103.*{tmp_path}"):
        preparation_of(f"frozen:{tmp_path}")


def test_a_view_has_noise_in_proportion_and_keeps_padding_and_the_first_token(tmp_path: Path) -> None:
    augment = encoder_of(RunConfig(encoders=f"notes=frozen:{save_tiny(tmp_path, 'bert')}"), "notes").augment
    x_BLE = torch.randn(400, 16, WIDTH, generator=torch.Generator().manual_seed(0)).half()
    x_BLE[:, 1] *= 10
    x_BLE[:, 12:] = 0
    view_BLE = augment(x_BLE, 1.0, torch.Generator().manual_seed(1))
    assert view_BLE.dtype == x_BLE.dtype
    assert not view_BLE[:, 12:].any()
    assert view_BLE[:, 0].any(-1).all()
    assert float((~view_BLE[:, 1:12].any(-1)).float().mean()) == pytest.approx(0.15, abs=0.02)
    seen_BL = view_BLE[:, :2].any(-1)
    error_BLE = (view_BLE - x_BLE)[:, :2].float()
    ratio_L = torch.stack(
        [error_BLE[seen_BL[:, at], at].square().mean().sqrt() / x_BLE[:, at].float().square().mean().sqrt() for at in (0, 1)]
    )
    torch.testing.assert_close(ratio_L, torch.full((2,), NOISE), atol=0.02, rtol=0)
    assert torch.equal(augment(x_BLE, 0.0, torch.Generator().manual_seed(1)), x_BLE)


def test_a_model_learns_from_what_a_frozen_encoder_gave(tmp_path: Path) -> None:
    name = f"frozen:{save_tiny(tmp_path / 'bert', 'bert')}"
    config = tiny_config(tmp_path, {"encoders": f"notes={name}", "local-steps": 30, "lr": 0.02, "method": "local"})
    texts = [f"w{2 * (n % 3)} w{20 + n % 7} w{2 * (n % 3) + 1}" for n in range(30)]  # a pair of words by class
    samples = Samples(preparation_of(name).prepare_all(texts), torch.arange(30) % 3, tuple(map(str, range(30))))
    model = MultimodalModel(config, ["notes"], 3)
    task = Task(model, {"notes": samples}, {"notes": samples}, method_of(config), Agreed(), config, "a", 1, torch.device("cpu"))
    train(task)
    model.eval()
    with torch.no_grad():
        correct = model.classify("notes", model.embed("notes", samples.x)).argmax(1) == samples.y
    assert correct.float().mean() > 0.9
