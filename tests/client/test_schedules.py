"""Schedules on paired data made by hand: what a phase may change, what is summed, what is hidden, what is remembered."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_run import Settings, tiny_config
from torch.nn import functional as F

from client_app.instances import ABSENT, instances_named, labelled_instances
from client_app.measure import classify_all, evaluate_fused
from client_app.methods import Agreed, method_of
from client_app.model import MultimodalModel
from client_app.schedules import train
from client_app.schedules.joint import visible
from client_app.schedules.phases import context, window
from client_app.schedules.task import Task
from client_app.sparsify import CODINGS, sparse_change
from concord.samples import NO_LABEL, Samples
from concord.wire.sparse import sparse_from_wire

CPU = torch.device("cpu")
CHAIN: Settings = {"method": "fedmchain", "lr": 0.05}


def paired(count: int = 12) -> dict[str, Samples]:
    """Images and pen strokes of the same instances, three classes."""
    generator = torch.Generator().manual_seed(0)
    y_N, ids = torch.arange(count) % 3, tuple(f"i{n}" for n in range(count))
    image = torch.randn(count, 26, 26, generator=generator) + y_N[:, None, None]
    pen = torch.randn(count, 32, 3, generator=generator) + y_N[:, None, None]
    return {"image": Samples(image, y_N, ids), "pen": Samples(pen, y_N, ids)}


def task_of(folder: Path, settings: Settings, samples: dict[str, Samples] | None = None, round_: int = 1) -> Task:
    config = tiny_config(folder, {"anchor-supervision": False, **settings})
    samples = samples or paired()
    model = MultimodalModel(config, list(samples), 3, owner="a")
    anchors = {m: part.take(range(3)) for m, part in paired().items()}
    return Task(model, samples, anchors, method_of(config), Agreed(), config, owner="a", round_=round_, device=CPU)


def weights(model: MultimodalModel, modality: str) -> list[torch.Tensor]:
    return [p.detach().clone() for part in model.parts_of(modality) for p in part.parameters()]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_a_phase_changes_its_own_modality_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = task_of(tmp_path, CHAIN)
    seen: list[str] = []
    train_only = MultimodalModel.train_only

    def watch(model: MultimodalModel, modality: str) -> None:
        if seen:
            other = next(m for m in model.modalities if m != modality)
            assert not same(weights(model, other), before[other]), "the phase before learnt something"
            assert same(weights(model, modality), before[modality]), "and left this modality as it was"
        seen.append(modality)
        train_only(model, modality)
        assert all(part.training for part in model.parts_of(modality))
        assert not any(part.training for m in model.modalities if m != modality for part in model.parts_of(m))

    before = {m: weights(task.model, m) for m in task.model.modalities}
    monkeypatch.setattr(MultimodalModel, "train_only", watch)
    losses = train(task)
    assert seen == ["image", "pen"]
    assert {"task.image", "task.pen", "total.image", "total.pen", "boosting.pen"} == losses.keys(), "the first has no context yet"


def test_passes_and_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(MultimodalModel, "train_only", lambda model, modality: seen.append(modality))
    losses = train(task_of(tmp_path, {**CHAIN, "fedmchain.passes": 2, "local-steps": 3}))
    assert seen == ["image", "pen", "image", "pen"]
    assert "boosting.image" in losses, "all have begun in the second pass"
    assert [window(20, 3, p) for p in range(3)] == [7, 7, 6]
    assert [window(1, 2, p) for p in range(2)] == [1, 0]


@pytest.mark.parametrize(("regulariser", "term"), [("residual", {"residual"}), ("boosting", {"boosting"}), ("none", set())])
def test_the_regulariser_is_a_switch(regulariser: str, term: set[str], tmp_path: Path) -> None:
    losses = train(task_of(tmp_path, {**CHAIN, "fedmchain.regulariser": regulariser}))
    assert {name.partition(".")[0] for name in losses} == {"task", "total"} | term


def test_orders_remember_losses_where_they_need_them(tmp_path: Path) -> None:
    task = task_of(tmp_path, {**CHAIN, "fedmchain.order": "learning-speed"})
    train(task)
    assert task.memory.keys() == {"chain-loss/image", "chain-loss/pen"}
    fixed = task_of(tmp_path, CHAIN)
    train(fixed)
    assert fixed.memory == {}


def test_a_modality_that_the_node_lacks_has_no_phase(tmp_path: Path) -> None:
    losses = train(task_of(tmp_path, CHAIN, {"pen": paired()["pen"]}))
    assert losses.keys() == {"task.pen", "total.pen"}


def test_joint_training_takes_the_loss_of_the_summed_logits(tmp_path: Path) -> None:
    task = task_of(tmp_path, {"method": "fedavg", "fusion.loss": "joint", "augment": False, "batch-size": 12, "local-steps": 1})
    task.model.eval()
    with torch.no_grad():
        logits_NC = sum(classify_all(task.model, m, s, CPU) for m, s in task.samples.items())
        expected = float(F.cross_entropy(logits_NC, task.samples["image"].y))  # type: ignore[arg-type]
    assert train(task)["joint"] == pytest.approx(expected, rel=1e-5)


def test_dropout_hides_at_its_rate_but_never_all() -> None:
    generator = torch.Generator().manual_seed(0)
    present_BM = torch.rand(4000, 3, generator=generator) < 0.7
    present_BM[:, 0] |= ~present_BM.any(1)
    shown_BM = present_BM & visible(present_BM, 0.5, generator)
    assert bool(shown_BM.any(1).all())
    three = present_BM.all(1)
    assert float((~shown_BM[three]).float().mean()) == pytest.approx(0.5 - 0.5**3 / 3, abs=0.02)
    assert torch.equal(present_BM & visible(present_BM, 0.0, generator), present_BM)


def test_fedprox_holds_the_weights_near_their_start(tmp_path: Path) -> None:
    def distance(mu: float) -> float:
        task = task_of(tmp_path, {"method": "fedprox", "fedprox.mu": mu, "lr": 0.05, "local-steps": 8, "clip-norm": 1e6})
        before = weights(task.model, "image")
        losses = train(task)
        assert losses["proximal"] >= 0
        return float(sum((a - b).square().sum() for a, b in zip(weights(task.model, "image"), before, strict=True)))

    assert distance(100.0) < 0.5 * distance(0.0)


def test_the_context_is_the_sum_of_what_the_others_say_of_the_same_instances(tmp_path: Path) -> None:
    samples = paired()
    samples["pen"] = samples["pen"].take([7, 3, 11, 0])
    task = task_of(tmp_path, CHAIN, samples)
    of_image = dict(zip(samples["image"].ids, classify_all(task.model, "image", samples["image"], CPU), strict=True))
    of_pen = dict(zip(samples["pen"].ids, classify_all(task.model, "pen", samples["pen"], CPU), strict=True))
    for name, row_C in zip(samples["pen"].ids, context(task, "pen", ["image"]), strict=True):
        torch.testing.assert_close(row_C, of_image[name])
    for name, row_C in zip(samples["image"].ids, context(task, "image", ["pen"]), strict=True):
        torch.testing.assert_close(row_C, of_pen.get(name, torch.zeros(3)))
    twice = context(task, "pen", ["image", "image"])
    torch.testing.assert_close(twice, 2 * context(task, "pen", ["image"]))


def test_instances_are_matched_by_id() -> None:
    samples = paired(4)
    samples["pen"] = samples["pen"].take([2, 0])
    found = instances_named(samples, ["i0", "i1", "i2"])
    assert found.rows["image"].tolist() == [0, 1, 2]
    assert found.rows["pen"].tolist() == [1, ABSENT, 0]
    assert found.y_N.tolist() == [0, 1, 2]
    samples["image"] = samples["image"].without_labels()
    labelled = labelled_instances(samples)
    assert labelled.ids == ("i2", "i0")
    assert NO_LABEL not in labelled.y_N
    with pytest.raises(KeyError):
        instances_named(samples, ["nobody"])


def test_the_fused_prediction_sums_the_logits_that_there_are(tmp_path: Path) -> None:
    task, samples = task_of(tmp_path, CHAIN), paired()
    both = sum(classify_all(task.model, m, s, CPU) for m, s in samples.items())
    right = int((both.argmax(1) == samples["image"].y).sum())  # type: ignore[union-attr]
    logits = {m: classify_all(task.model, m, s, CPU) for m, s in samples.items()}
    found = evaluate_fused("unseen", samples, logits, samples["image"].ids)
    assert (found.modality, found.correct, found.examples) == ("fused", right, 12)
    alone = {"image": samples["image"], "pen": samples["pen"].take([])}
    right = int((classify_all(task.model, "image", samples["image"], CPU).argmax(1) == samples["image"].y).sum())
    assert evaluate_fused("unseen", alone, {"image": logits["image"]}, samples["image"].ids).correct == right


@pytest.mark.parametrize("values", CODINGS)
def test_what_is_sent_and_what_is_left_out_add_up_to_the_change(values: str) -> None:
    generator = torch.Generator().manual_seed(0)
    before = {"a": torch.randn(5, 4, generator=generator), "b": torch.randn(7, generator=generator)}
    after = {name: tensor + torch.randn(tensor.shape, generator=generator) for name, tensor in before.items()}
    change = torch.cat([(after[name] - before[name]).flatten() for name in before])
    reordered = {name: after[name] for name in ("b", "a")}  # the order of what came in counts
    message, said, left_out = sparse_change(before, reordered, None, 0.25, values)
    sent = sparse_from_wire(message, [20, 7])
    assert len(sent.index_K) == 5 + 2
    assert torch.equal(sent.dense(), said)
    torch.testing.assert_close(said + left_out, change)
    again, _, still_left = sparse_change(before, before, left_out, 1.0, "float32")
    torch.testing.assert_close(sparse_from_wire(again, [20, 7]).dense(), left_out)
    assert not bool(still_left.any())
