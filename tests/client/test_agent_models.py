"""The models of agents: what they predict, what of them travels where, and that all start alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_agents import BOTH, CLASSES, IMAGE, TONE, agent_config, inputs_of, same_weights
from tiny_run import DEFAULTS, Settings
from torch import Tensor

from client_app.agents.fused import FusedModel, StagedModel
from client_app.agents.methods import AGENT_METHODS, build_model, slices_of
from client_app.agents.model import AgentModel
from client_app.agents.sliced import SlicedModel
from client_app.model_check import check_model
from client_app.trunk import local_tensors
from concord.config import AGENTS
from concord.errors import ConcordError
from concord.kinds import SLICES, figures_of, kind_of, of_all_slices

KINDS = (IMAGE, TONE, BOTH)
each_kind = pytest.mark.parametrize("held", KINDS, ids=kind_of)
each_method = pytest.mark.parametrize("method", AGENTS)
SHARED: Settings = {"parse.redundant-head": "shared"}
EMBEDDING = 18  # three slices of 6


def model_of(folder: Path, method: str, held: Sequence[str], settings: Settings = DEFAULTS) -> AgentModel:
    return build_model(agent_config(folder, method, settings), held, CLASSES)


def plan_of(folder: Path, method: str, held: Sequence[str], settings: Settings = DEFAULTS) -> dict[str, dict[str, Tensor]]:
    """By slice a copy of its tensors."""
    config = agent_config(folder, method, settings)
    slices = slices_of(config, build_model(config, held, CLASSES))
    return {name: {key: p.detach().clone() for key, p in part.items()} for name, part in slices.items()}


def softmax_loss(logits_BC: Tensor, y_B: Tensor) -> float:
    """Mean cross-entropy, by numpy in float64."""
    logits = logits_BC.detach().double().numpy()
    shifted = logits - logits.max(axis=1, keepdims=True)
    return float(np.mean(np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(y_B)), y_B.numpy()]))


def layer_normalised(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)


def applied(layer: object, x: np.ndarray) -> np.ndarray:
    """A linear layer, by numpy in float64."""
    weight, bias = (p.detach().double().numpy() for p in (layer.weight, layer.bias))  # type: ignore[attr-defined]
    return x @ weight.T + bias


def hidden(model: AgentModel, inputs: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    with torch.no_grad():
        return {m: model.encoders[m](x).double().numpy() for m, x in inputs.items()}


def assert_close(found: Tensor, wanted: np.ndarray) -> None:
    np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=1e-4, atol=1e-5)


# What is predicted.


@each_kind
@pytest.mark.parametrize("settings", [DEFAULTS, SHARED], ids=["own heads", "shared head"])
def test_votes_of_slices_are_heads_on_normalised_rows(held: tuple[str, ...], settings: Settings, tmp_path: Path) -> None:
    model = model_of(tmp_path, "parse", held, settings)
    assert isinstance(model, SlicedModel)
    inputs, _ = inputs_of(held)
    slices = {(s, m): layer_normalised(applied(model.rows[m][s], h)) for m, h in hidden(model, inputs).items() for s in SLICES}
    assert all(values.shape == (5, 6) for values in slices.values())
    heads = {m: model.redundant_head or model.heads[m]["redundant"] for m in held}
    wanted = {f"redundant.{m}": applied(heads[m], slices["redundant", m]) for m in held}
    wanted |= {f"unique.{m}": applied(model.heads[m]["unique"], slices["unique", m]) for m in held}
    together = np.mean([slices["synergistic", m] for m in held], axis=0)
    wanted[f"synergistic.{kind_of(held)}"] = applied(model.synergistic_head, together)
    votes = model.votes(inputs)
    assert votes.keys() == wanted.keys()
    for name, vote_BC in votes.items():
        assert vote_BC.shape == (5, CLASSES)
        assert_close(vote_BC, wanted[name])


@each_kind
def test_slices_of_an_embedding_have_mean_zero_and_variance_one(held: tuple[str, ...], tmp_path: Path) -> None:
    model = model_of(tmp_path, "parse", held)
    assert isinstance(model, SlicedModel)
    for by_modality in model.slices(inputs_of(held)[0]).values():
        for z_BW in by_modality.values():
            torch.testing.assert_close(z_BW.mean(1), torch.zeros(5), atol=1e-5, rtol=0)
            torch.testing.assert_close(z_BW.var(1, correction=0), torch.ones(5), atol=1e-2, rtol=0)
    assert not list(model.normalise.parameters())  # nothing to exchange


@each_kind
def test_the_figures_are_means_with_without_and_of_each_slice(held: tuple[str, ...], tmp_path: Path) -> None:
    model, kind = model_of(tmp_path, "parse", held), kind_of(held)
    votes = {name: v.detach().double().numpy() for name, v in model.votes(inputs_of(held)[0]).items()}
    figures = model.figures(model.votes(inputs_of(held)[0]))
    assert figures.keys() == figures_of(kind)
    assert [name for name in figures if of_all_slices(name)] == [kind]
    assert_close(figures[kind], np.mean(list(votes.values()), axis=0))
    for name in SLICES:
        within = [v for key, v in votes.items() if key.startswith(f"{name}.")]
        assert len(within) == (1 if name == "synergistic" else len(held))
        assert_close(figures[f"{kind} {name} alone"], np.mean(within, axis=0))
        others = [v for key, v in votes.items() if not key.startswith(f"{name}.")]
        assert_close(figures[f"{kind} without {name}"], np.mean(others, axis=0))


@each_kind
def test_the_fused_model_classifies_embeddings_end_to_end(held: tuple[str, ...], tmp_path: Path) -> None:
    model = model_of(tmp_path, "dsgd-task", held)
    assert isinstance(model, FusedModel)
    inputs, y_B = inputs_of(held)
    z = {m: layer_normalised(applied(model.projectors[m], h)) for m, h in hidden(model, inputs).items()}
    wanted = applied(model.head, np.concatenate([z[m] for m in held], axis=1))
    votes = model.votes(inputs)
    assert votes.keys() == {"fused"}
    assert_close(votes["fused"], wanted)
    assert model.figures(votes).keys() == {kind_of(held)} <= figures_of(kind_of(held))
    assert_close(model.figures(votes)[kind_of(held)], wanted)
    terms = model.losses(inputs, y_B, 0.0)
    assert terms.keys() == {"task"}
    assert terms["task"].item() == pytest.approx(softmax_loss(votes["fused"], y_B), rel=1e-5)


@each_kind
def test_the_staged_model_votes_by_its_fusion_or_its_only_modality(held: tuple[str, ...], tmp_path: Path) -> None:
    model = model_of(tmp_path, "harmony", held)
    assert isinstance(model, StagedModel)
    inputs, _ = inputs_of(held)
    z = {m: layer_normalised(applied(model.projectors[m], h)) for m, h in hidden(model, inputs).items()}
    last = model.head if len(held) > 1 else model.classifiers[held[0]]
    (vote_BC,) = model.votes(inputs).values()
    assert vote_BC.shape == (5, CLASSES)
    assert_close(vote_BC, applied(last, np.concatenate([z[m] for m in held], axis=1)))
    assert model.figures(model.votes(inputs)).keys() == {kind_of(held)}


# What is learnt.


@each_kind
def test_the_objective_of_slices(held: tuple[str, ...], tmp_path: Path) -> None:
    model = model_of(tmp_path, "parse", held, {"parse.contrast-weight": 0.3, "parse.contrast-temperature": 0.5})
    assert isinstance(model, SlicedModel)
    inputs, y_B = inputs_of(held)
    votes = model.votes(inputs)
    terms = model.losses(inputs, y_B, 0.0)
    assert terms.keys() == {"task", "slices"} | ({"contrast"} if len(held) > 1 else set())
    assert terms["task"].item() == pytest.approx(softmax_loss(torch.stack(list(votes.values())).mean(0), y_B), rel=1e-4)
    assert terms["slices"].item() == pytest.approx(sum(softmax_loss(v, y_B) for v in votes.values()), rel=1e-4)
    if len(held) > 1:
        redundant = {m: z.detach().double().numpy() for m, z in model.slices(inputs)["redundant"].items()}
        wanted = 0.0
        for a, b in combinations(held, 2):
            unit = {m: redundant[m] / np.linalg.norm(redundant[m], axis=1, keepdims=True) for m in (a, b)}
            cosine = torch.from_numpy(unit[a] @ unit[b].T / 0.5)
            own_B = torch.arange(5)
            wanted += (softmax_loss(cosine, own_B) + softmax_loss(cosine.T, own_B)) / 2
        assert terms["contrast"].item() == pytest.approx(0.3 * wanted, rel=1e-4)


def test_without_a_weight_there_is_no_contrast_and_it_trains_encoders_and_redundant_rows_alone(tmp_path: Path) -> None:
    inputs, y_B = inputs_of(BOTH)
    assert "contrast" not in model_of(tmp_path, "parse", BOTH, {"parse.contrast-weight": 0.0}).losses(inputs, y_B, 0.0)
    model = model_of(tmp_path, "parse", BOTH)
    model.losses(inputs, y_B, 0.0)["contrast"].backward()
    taught = {name for name, p in model.trained().items() if p.grad is not None and bool(p.grad.any())}
    behind = {name for name in taught if not name.startswith("encoders.")}
    assert behind == {f"rows.{m}.redundant.{kind}" for m in BOTH for kind in ("weight", "bias")}
    assert any(name.startswith("encoders.image.tokeniser") for name in taught)
    assert AGENT_METHODS["dsgd-modality-sliced"].leaves_out == ("contrast",)


def taught_by(model: AgentModel, held: Sequence[str], progress: float) -> set[str]:
    model.zero_grad()
    inputs, y_B = inputs_of(held)
    sum(model.losses(inputs, y_B, progress).values()).backward()  # type: ignore[union-attr]
    return {name for name, p in model.trained().items() if p.grad is not None and bool(p.grad.any())}


@pytest.mark.parametrize("progress", [0.0, 0.25, 0.49])
def test_in_the_first_half_each_modality_learns_by_itself(progress: float, tmp_path: Path) -> None:
    model = model_of(tmp_path, "harmony", BOTH)
    assert model.losses(*inputs_of(BOTH), progress).keys() == {"task.image", "task.tone"}
    taught = taught_by(model, BOTH, progress)
    assert {name.partition(".")[0] for name in taught} == {"encoders", "projectors", "classifiers"}
    model.zero_grad()
    inputs, y_B = inputs_of(BOTH)
    model.losses(inputs, y_B, progress)["task.image"].backward()
    assert not [name for name, p in model.trained().items() if ".tone." in name and p.grad is not None]


@pytest.mark.parametrize("progress", [0.5, 0.75])
def test_in_the_second_half_only_the_fusion_learns(progress: float, tmp_path: Path) -> None:
    model = model_of(tmp_path, "harmony", BOTH)
    inputs, y_B = inputs_of(BOTH)
    terms = model.losses(inputs, y_B, progress)
    assert terms.keys() == {"fusion"}
    assert terms["fusion"].item() == pytest.approx(softmax_loss(model.votes(inputs)["fused"], y_B), rel=1e-5)
    assert taught_by(model, BOTH, progress) == {"head.weight", "head.bias"}


@pytest.mark.parametrize("held", [IMAGE, TONE], ids=kind_of)
def test_an_agent_of_one_modality_stays_in_the_first_half(held: tuple[str, ...], tmp_path: Path) -> None:
    model = model_of(tmp_path, "harmony", held)
    assert taught_by(model, held, 0.75) == taught_by(model, held, 0.0)
    assert "encoders" in {name.partition(".")[0] for name in taught_by(model, held, 0.75)}


# What travels where.

ENCODERS = {IMAGE: ["encoder.image"], TONE: ["encoder.tone"], BOTH: ["encoder.image", "encoder.tone"]}


def of_each(held: Sequence[str], *kinds: str) -> set[str]:
    return {f"{kind}.{m}" for kind in kinds for m in held}


@each_kind
@pytest.mark.parametrize("settings", [DEFAULTS, SHARED], ids=["own heads", "shared head"])
def test_which_slices_each_method_exchanges(held: tuple[str, ...], settings: Settings, tmp_path: Path) -> None:
    kind = kind_of(held)
    wanted = {
        "parse": of_each(held, "encoder", "redundant", "unique")
        | {f"synergistic.{kind}"}
        | ({"redundant-head"} if settings else set()),
        "dsgd-modality-sliced": of_each(held, "encoder", "redundant", "unique", "synergistic-rows"),
        "dsgd-modality": of_each(held, "encoder"),
        "dsgd-task": {f"task.{kind}"},
        "dsgd-hybrid": of_each(held, "encoder") | {f"head.{kind}"},
        "harmony": of_each(held, "encoder", "classifier") | {f"head.{kind}"},
        "alone": set(),
    }
    assert wanted.keys() == set(AGENTS) == AGENT_METHODS.keys()
    for method, slices in wanted.items():
        assert plan_of(tmp_path, method, held, settings).keys() == slices, method


def test_what_is_in_the_slices_of_parse(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "parse", BOTH)
    width = 16
    for m in BOTH:
        for name in ("redundant", "unique"):
            shapes = {key: tuple(tensor.shape) for key, tensor in plan[f"{name}.{m}"].items()}
            assert shapes == {
                "rows.weight": (6, width),
                "rows.bias": (6,),
                "head.weight": (CLASSES, 6),
                "head.bias": (CLASSES,),
            }
        assert {key.partition(".")[0] for key in plan[f"encoder.{m}"]} == {"trunk", "tokeniser"}
    assert {key: tuple(tensor.shape) for key, tensor in plan["synergistic.image+tone"].items()} == {
        "synergistic-rows.image/rows.weight": (6, width),
        "synergistic-rows.image/rows.bias": (6,),
        "synergistic-rows.tone/rows.weight": (6, width),
        "synergistic-rows.tone/rows.bias": (6,),
        "synergistic-head.image+tone/head.weight": (CLASSES, 6),
        "synergistic-head.image+tone/head.bias": (CLASSES,),
    }
    shared = plan_of(tmp_path, "parse", BOTH, SHARED)
    assert shared["redundant.image"].keys() == {"rows.weight", "rows.bias"}
    assert shared["unique.image"].keys() == {"rows.weight", "rows.bias", "head.weight", "head.bias"}
    assert {key: tuple(tensor.shape) for key, tensor in shared["redundant-head"].items()} == {
        "head.weight": (CLASSES, 6),
        "head.bias": (CLASSES,),
    }


def test_the_whole_model_of_a_task_travels_and_encoders_carry_their_projector(tmp_path: Path) -> None:
    model = model_of(tmp_path, "dsgd-task", BOTH)
    (task,) = slices_of(model.config, model).values()
    assert {id(p) for p in task.values()} == {id(p) for p in model.trained().values()}
    encoder = plan_of(tmp_path, "dsgd-hybrid", BOTH)["encoder.image"]
    assert tuple(encoder["projector.weight"].shape) == (EMBEDDING, 16)


@each_kind
@each_method
@pytest.mark.parametrize("settings", [DEFAULTS, SHARED, {"adapter.kind": "lora"}, {"adapter.kind": "dora"}], ids=str)
def test_every_trained_parameter_is_in_one_part_or_stays_by_its_nature(
    method: str, held: tuple[str, ...], settings: Settings, tmp_path: Path
) -> None:
    model = model_of(tmp_path, method, held, settings)
    placed = [id(p) for part in model.parts().values() for p in part.values()]
    assert len(placed) == len(set(placed))
    magnitudes = {id(p) for encoder in model.encoders.values() for p in local_tensors(encoder.trunk).values()}  # type: ignore[arg-type]
    assert bool(magnitudes) == (settings.get("adapter.kind") == "dora")  # those of DoRA stay at home
    assert set(placed) | magnitudes == {id(p) for p in model.trained().values()}
    travelling = [id(p) for part in slices_of(model.config, model).values() for p in part.values()]
    assert len(travelling) == len(set(travelling))
    assert set(travelling) <= set(placed)


@pytest.mark.parametrize("settings", [DEFAULTS, SHARED], ids=["own heads", "shared head"])
def test_what_of_the_parts_stays_at_home(settings: Settings, tmp_path: Path) -> None:
    """The rest of what is trained is exchanged with somebody."""
    stays = {
        "dsgd-modality-sliced": {"synergistic-head.image+tone"} | ({"redundant-head"} if settings else set()),
        "dsgd-modality": {"head.image+tone"},
        "alone": {"encoder.image", "encoder.tone", "head.image+tone"},
    }
    for method in AGENTS:
        model = model_of(tmp_path, method, BOTH, settings)
        travelling = {id(p) for part in slices_of(model.config, model).values() for p in part.values()}
        home = {name for name, part in model.parts().items() if not travelling & {id(p) for p in part.values()}}
        assert home == stays.get(method, set()), method


def test_slices_are_the_live_parameters(tmp_path: Path) -> None:
    model = model_of(tmp_path, "parse", IMAGE)
    with torch.no_grad():
        for part in slices_of(model.config, model).values():
            for parameter in part.values():
                parameter.fill_(7.0)
    assert all(bool((p == 7).all()) for p in model.trained().values())


@each_method
@pytest.mark.parametrize("settings", [DEFAULTS, SHARED, {"adapter.kind": "dora"}], ids=str)
def test_agents_of_all_kinds_start_alike_in_what_they_share(method: str, settings: Settings, tmp_path: Path) -> None:
    plans = {held: plan_of(tmp_path, method, held, settings) for held in KINDS}
    for one, other in combinations(KINDS, 2):
        common = plans[one].keys() & plans[other].keys()
        assert bool(common) == (method not in ("dsgd-task", "alone") and (BOTH in (one, other) or "redundant-head" in common))
        assert all(same_weights(plans[one][name], plans[other][name]) for name in common)


def test_other_seeds_and_purposes_start_elsewhere(tmp_path: Path) -> None:
    plan, other = plan_of(tmp_path, "parse", BOTH), plan_of(tmp_path, "parse", BOTH, {"seed": 1})
    for name in ("redundant.image", "synergistic.image+tone", "encoder.tone"):
        assert not same_weights(plan[name], other[name])
    rows = [plan[f"{name}.{m}"]["rows.weight"] for name in ("redundant", "unique") for m in BOTH]
    assert not any(torch.equal(a, b) for a, b in combinations(rows, 2))


def test_building_a_model_leaves_the_generator_of_others_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    model_of(tmp_path, "parse", BOTH)
    assert torch.equal(torch.rand(3), wanted)


def test_settings_that_no_model_can_have_are_told(tmp_path: Path) -> None:
    config = agent_config(tmp_path, "parse", {"model.width": 16, "model.attention-heads": 3})
    with pytest.raises(ConcordError, match=r"C103 .*the model cannot be built: .*16"):
        check_model(config, BOTH)
    assert check_model(agent_config(tmp_path), BOTH) == 6


def test_each_stage_exchanges_what_it_trains(tmp_path: Path) -> None:
    several, one = (model_of(tmp_path, "harmony", held) for held in (BOTH, IMAGE))
    slices = ("encoder.image", "classifier.image", "head.image+tone")
    assert [several.exchanges(name, 0.49) for name in slices] == [True, True, False]
    assert [several.exchanges(name, 0.5) for name in slices] == [False, False, True]
    for progress in (0.0, 0.9):
        assert [one.exchanges(name, progress) for name in ("encoder.image", "classifier.image", "head.image")] == [
            True,
            True,
            False,
        ]
    assert model_of(tmp_path, "parse", BOTH).exchanges("encoder.image", 0.9)
