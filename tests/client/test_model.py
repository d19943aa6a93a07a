"""The model of a node: which of its parts are shared, frozen, or kept at home."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_run import DEFAULTS, Settings, tiny_config

from client_app.data.federation import build_federation
from client_app.methods import Agreed, method_of
from client_app.model import MultimodalModel, trainable_parameters
from client_app.schedules import train
from client_app.schedules.descent import learning_rate
from client_app.schedules.task import Task
from client_app.trunk import ADAPTER, local_tensors, lora_layers
from concord.config import RunConfig
from strategies.rank import at_rank

CPU = torch.device("cpu")


def model_of(config: RunConfig, modality: str = "image", owner: str = "a", rank: int | None = None) -> MultimodalModel:
    return MultimodalModel(config, [modality], 10, owner=owner, rank=rank)


def train_round(model: MultimodalModel, config: RunConfig, round_: int = 1) -> dict[str, float]:
    federation = build_federation("demo", None, 0, "labelled")
    (modality,) = model.modalities
    samples = next(node.train for node in federation.nodes if modality in node.train)
    anchors = {modality: federation.anchors.of(modality)}
    method = method_of(config)
    return train(Task(model, samples, anchors, method, Agreed(), config, owner="a", round_=round_, device=CPU))


def test_frozen_a_is_orthonormal_and_the_same_on_every_node_before_and_after_training(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, {"adapter.rank": 3, "lr": 0.05})
    image, word = model_of(config, "image", "a"), model_of(config, "word", "b", rank=2)
    before = {name: layer.lora_A[ADAPTER].weight.clone() for name, layer in lora_layers(image.trunk_of("image"))}
    train_round(image, config)
    train_round(word, config)
    assert before
    for (name, a), (other_name, b) in zip(lora_layers(image.trunk_of("image")), lora_layers(word.trunk_of("word")), strict=True):
        a_RI = a.lora_A[ADAPTER].weight
        assert name == other_name
        assert torch.equal(a_RI, before[name])
        assert torch.equal(b.lora_A[ADAPTER].weight, a_RI[:2])
        torch.testing.assert_close(a_RI @ a_RI.T, torch.eye(3), atol=1e-6, rtol=0)
        assert bool(a.lora_B[ADAPTER].weight.any())
        assert a.scaling[ADAPTER] == b.scaling[ADAPTER]


@pytest.mark.parametrize("train_a", [False, True])
def test_a_is_trained_only_where_that_is_asked_for(train_a: bool, tmp_path: Path) -> None:
    config = tiny_config(tmp_path, {"adapter.train-a": train_a, "lr": 0.05})
    model = model_of(config)
    before = {name: layer.lora_A[ADAPTER].weight.clone() for name, layer in lora_layers(model.trunk_of("image"))}
    train_round(model, config)
    train_round(model, config, 2)  # B is zero at first, and with it the gradient of A
    assert all(
        torch.equal(layer.lora_A[ADAPTER].weight, before[name]) != train_a for name, layer in lora_layers(model.trunk_of("image"))
    )
    assert any(name.endswith(".a") for name in model.groups()["trunk"]) == train_a


def test_the_base_of_the_trunk_is_frozen_under_an_adapter(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, {"lr": 0.05})
    model = model_of(config)
    base = {name: p.clone() for name, p in model.trunk_of("image").named_parameters() if "lora" not in name}
    train_round(model, config)
    assert base
    assert all(torch.equal(p, base[name]) for name, p in model.trunk_of("image").named_parameters() if name in base)


def test_adapters_of_single_modalities_share_the_frozen_trunk_in_memory(tmp_path: Path) -> None:
    model = MultimodalModel(tiny_config(tmp_path, {"adapter.scope": "modality"}), ["image", "word"], 10)
    image, word = (dict(model.trunk_of(m).named_parameters()) for m in ("image", "word"))
    assert {name for name in image if image[name] is not word[name]} == {n for n in image if "lora_" in n}
    assert {"trunk.image", "trunk.word", "head.image", "head.word"} <= model.groups().keys()


@pytest.mark.parametrize("kind", ["lora", "dora", "full"])
@pytest.mark.parametrize("scope", ["shared", "modality"])
@pytest.mark.parametrize("head", ["shared", "modality", "local"])
def test_every_trained_tensor_is_either_shared_or_private(kind: str, scope: str, head: str, tmp_path: Path) -> None:
    settings: Settings = {"adapter.kind": kind, "adapter.scope": scope, "model.head": head}
    model = MultimodalModel(tiny_config(tmp_path, settings), ["image", "word"], 10, owner="a")
    shared = {p.data_ptr() for group in model.groups().values() for p in group.values()}
    private = {t.data_ptr() for t in model.private_tensors(list(model.groups())).values()}
    assert not shared & private
    assert {p.data_ptr() for p in trainable_parameters(model)} == shared | private
    everything = {t.data_ptr() for t in model.private_tensors([]).values()}
    assert everything == shared | private


def test_private_state_round_trips(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, {"model.head": "local", "lr": 0.05})
    trained, fresh = model_of(config), model_of(config)
    train_round(trained, config)
    saved = {name: tensor.clone() for name, tensor in trained.private_tensors(["trunk"]).items()}
    fresh.load_private(saved, ["trunk"])
    assert all(torch.equal(fresh.private_tensors(["trunk"])[name], tensor) for name, tensor in saved.items())
    assert {"magnitude", "head", "tokeniser.image"} == {name.partition("/")[0] for name in saved}


def test_what_was_kept_and_travels_by_now_or_has_another_shape_is_left(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, {"model.head": "local"})
    model = model_of(config)
    head = {name: tensor + 1 for name, tensor in model.private_tensors(["trunk"]).items() if name.startswith("head/")}
    before = {name: tensor.clone() for name, tensor in model.groups()["tokeniser.image"].items()}
    tokeniser = {f"tokeniser.image/{name}": tensor + 1 for name, tensor in before.items()}
    model.load_private(
        {**head, **tokeniser, "magnitude/none": torch.ones(3), "head/bias": torch.ones(3)}, ["trunk", "tokeniser.image"]
    )
    assert all(torch.equal(model.groups()["tokeniser.image"][name], tensor) for name, tensor in before.items())
    private = model.private_tensors(["trunk"])
    assert all(torch.equal(private[name], tensor) for name, tensor in head.items() if name != "head/bias")


def test_initial_weights_depend_on_seed_and_modality_and_local_heads_on_the_owner_too(tmp_path: Path) -> None:
    def tensors(settings: Settings = DEFAULTS, owner: str = "a") -> dict[str, torch.Tensor]:
        return dict(model_of(tiny_config(tmp_path, settings), owner=owner).state_dict())

    def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor], part: str) -> bool:
        return all(torch.equal(a[name], b[name]) for name in a if name.startswith(part))

    assert same(tensors(), tensors(owner="b"), "")
    for part in ("trunk", "tokenisers", "heads", "projectors"):
        assert not same(tensors(), tensors({"seed": 1}), part)
    local = {"model.head": "local"}
    assert not same(tensors(local), tensors(local, owner="b"), "heads")
    assert same(tensors(local), tensors(local, owner="b"), "trunk")


def test_building_a_model_leaves_the_global_random_state_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    model_of(tiny_config(tmp_path))
    assert torch.equal(torch.rand(3), expected)


def test_a_group_cut_to_a_smaller_rank_is_what_a_node_of_that_rank_holds(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, {"adapter.rank": 3, "adapter.train-a": True})
    large, small = model_of(config), model_of(config, rank=2)
    cut = at_rank({name: p.detach() for name, p in large.groups()["trunk"].items()}, 2)
    assert {name: t.shape for name, t in cut.items()} == {name: p.shape for name, p in small.groups()["trunk"].items()}
    assert all(torch.equal(cut[name], p) for name, p in small.groups()["trunk"].items())


def test_magnitudes_exist_for_dora_alone(tmp_path: Path) -> None:
    assert local_tensors(model_of(tiny_config(tmp_path, {"adapter.kind": "dora"})).trunk_of("image"))
    assert not local_tensors(model_of(tiny_config(tmp_path, {"adapter.kind": "lora"})).trunk_of("image"))


def test_the_learning_rate_falls_from_lr_to_a_tenth(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, {"rounds": 5, "lr": 0.1})
    rates = [learning_rate(config, round_) for round_ in range(1, 6)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[-1] == pytest.approx(0.01)
    assert rates == sorted(rates, reverse=True)
