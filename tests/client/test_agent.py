"""An agent: training depends on nobody else, mixing is the Metropolis matrix, and bad updates and interruptions change nothing.

Legend: K agents, P values of a slice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_agents import (
    BOTH,
    CLASSES,
    HELD,
    IMAGE,
    agent,
    agent_config,
    agents,
    agreement_of,
    before_mixing,
    heard_by,
    node,
    same_weights,
    say,
    scattered,
    stacked,
    values_by_slice,
    weights,
)
from tiny_run import Settings
from torch import Tensor

from client_app.agents.agent import SILENT, TAKEN, Agent
from client_app.agents.methods import slices_of
from concord.agreement import Agreement
from concord.config import AGENTS
from concord.errors import ConcordError
from concord.functional.mixing import metropolis_matrix
from concord.kinds import figures_of
from concord.wire.messages import decode, encode
from concord.wire.slices import VALUE_BYTES
from concord.wire.v1 import federation_pb2 as pb


def matrix_of(agreement: Agreement, slice_: str, names: Sequence[str]) -> Tensor:
    """Metropolis weights [K, K] of a slice's overlay, float64."""
    (graph,) = [graph for name, graph in agreement.overlays.items() if name.partition("\0")[0] == slice_]
    assert graph.keys() == set(names)
    return metropolis_matrix(torch.tensor([[other in graph[name] for other in names] for name in names]))


# Training.


def test_training_is_the_same_again_and_owes_nothing_to_others(tmp_path: Path) -> None:
    config = agent_config(tmp_path)
    together = agents(config, HELD)
    for one in together:
        torch.rand(3)
        one.train(1, {})
    for name in ("carl", "dora"):
        single = agent(config, name, HELD[name])
        torch.manual_seed(77)
        state = torch.get_rng_state()
        single.train(1, {})
        assert torch.equal(torch.get_rng_state(), state)
        assert same_weights(weights(single), weights(next(a for a in together if a.name == name)))


def test_training_is_another_for_another_round_agent_and_seed(tmp_path: Path) -> None:
    def trained(name: str, round_: int, seed: int) -> dict[str, Tensor]:
        one = Agent(agent_config(tmp_path, settings={"seed": seed}), node("anna", BOTH), *about)
        one.data = type(one.data)(name, one.data.train, one.data.tests, one.data.joint)
        one.train(round_, {})
        return weights(one)

    about = (agent(agent_config(tmp_path), "anna", BOTH).anchors, torch.device("cpu"))
    usual = trained("anna", 1, 0)
    assert same_weights(trained("anna", 1, 0), usual)
    assert not any(same_weights(trained(*other), usual) for other in (("anna", 2, 0), ("bert", 1, 0), ("anna", 1, 1)))


@pytest.mark.parametrize("method", AGENTS)
def test_every_method_learns_and_tells_its_losses_and_figures(method: str, tmp_path: Path) -> None:
    config = agent_config(tmp_path, method, {"local-steps": 30, "rounds": 2, "lr": 0.02})
    one = agent(config, "anna", BOTH)
    first, last = one.train(1, {}), one.train(2, {})
    terms = {
        "parse": ({"task", "slices", "contrast"},) * 2,
        "dsgd-modality-sliced": ({"task", "slices"},) * 2,
        "harmony": ({"task.image", "task.tone"}, {"fusion"}),
    }.get(method, ({"task"},) * 2)
    assert (first.keys() - {"total"}, last.keys() - {"total"}) == terms
    for losses in (first, last):
        assert losses["total"] == pytest.approx(sum(v for name, v in losses.items() if name != "total"), rel=1e-5)
    assert last["total"] < first["total"]
    evaluations = one.evaluate()
    names = {e.modality for e in evaluations}
    assert names == (figures_of("image+tone") if method in ("parse", "dsgd-modality-sliced") else {"image+tone"})
    assert {(e.modality, e.split) for e in evaluations} == {(name, split) for name in names for split in ("random", "unseen")}
    assert len(evaluations) == 2 * len(names)
    assert all(e.examples == 8 and math.isfinite(e.loss_sum) for e in evaluations)
    whole = next(e for e in evaluations if (e.modality, e.split) == ("image+tone", "unseen"))
    assert whole.correct > 8 / CLASSES


def test_an_agent_without_a_label_changes_nothing(tmp_path: Path) -> None:
    config = agent_config(tmp_path)
    one = agent(config, "anna", BOTH)
    one.data = type(one.data)("anna", {m: s.without_labels() for m, s in one.data.train.items()}, one.data.tests)
    before = weights(one)
    assert one.train(1, {}) == {}
    assert same_weights(weights(one), before)
    assert (one.round_, one.trained) == (1, True)


def test_how_an_agent_introduces_itself(tmp_path: Path) -> None:
    config = agent_config(tmp_path)
    one = agent(config, "anna", BOTH)
    hello = one.hello()
    assert decode(pb.Hello, encode(hello)) == hello
    assert (hello.agent, hello.anchor_digest, list(hello.concepts)) == ("anna", one.anchors.digest, list(one.anchors.concepts))
    assert [(h.modality, h.examples, h.labelled, list(h.labels)) for h in hello.holdings] == [
        (m, 12, 10, [0, 1, 2, 3]) for m in BOTH
    ]
    flat = {name: values.numel() for name, values in values_by_slice(config, one.model).items()}
    assert {m.group: sum(math.prod(spec.shape) for spec in m.tensors) for m in hello.slices} == flat
    one.train(1, {})
    assert one.hello().round == 1


# Mixing.


@pytest.mark.parametrize("method", AGENTS)
@pytest.mark.parametrize("kind", ["ring", "complete"])
def test_a_round_of_all_is_the_metropolis_matrix_of_each_slice(method: str, kind: str, tmp_path: Path) -> None:
    everyone, agreement = before_mixing(tmp_path, {"overlay.kind": kind}, method)
    before, kept = stacked(everyone), {one.name: weights(one) for one in everyone}
    said = say(everyone)
    heard = {one.name: one.mix(heard_by(one.name, said)) for one in everyone}
    for name, by_agent in stacked(everyone).items():
        weights_KK = matrix_of(agreement, name, list(by_agent))
        theta_KP, mixed_KP = torch.stack(list(before[name].values())), torch.stack(list(by_agent.values()))
        if method == "harmony" and name.startswith("head"):  # of its second stage
            assert torch.equal(mixed_KP, theta_KP)
            continue
        torch.testing.assert_close(mixed_KP, weights_KK @ theta_KP, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(mixed_KP.mean(0), theta_KP.mean(0), rtol=1e-5, atol=1e-6)
        assert len(by_agent) == 1 or not torch.allclose(mixed_KP, theta_KP)
    for one in everyone:
        assert [(h.neighbour, h.outcome) for h in heard[one.name]] == [(n, TAKEN) for n in sorted(agreement.links(one.name))]
        travelling = {id(p) for part in slices_of(one.config, one.model).values() for p in part.values()}
        home = {name: p for name, p in one.model.trained().items() if id(p) not in travelling}
        assert all(torch.equal(p, kept[one.name][name]) for name, p in home.items())
        assert not one.trained


def test_only_slices_that_both_can_use_are_said(tmp_path: Path) -> None:
    everyone, agreement = before_mixing(tmp_path, {"overlay.kind": "complete"})
    said = {sender: {to: {p.slice for p in u.pieces} for to, u in updates.items()} for sender, updates in say(everyone).items()}
    of_image, of_tone = ({f"{kind}.{m}" for kind in ("encoder", "redundant", "unique")} for m in ("image", "tone"))
    for sender, held in HELD.items():
        for receiver, others in HELD.items():
            common = set(held) & set(others) if sender != receiver else set()
            wanted = (of_image if "image" in common else set()) | (of_tone if "tone" in common else set())
            if sender != receiver and held == others:
                wanted = wanted | {f"synergistic.{'+'.join(held)}"}
            assert said[sender].get(receiver, set()) == wanted, (sender, receiver)
    assert agreement.mismatches == {}


@pytest.mark.parametrize("round_", [1, 2, 3])
def test_with_a_budget_the_window_of_the_round_is_mixed_and_nothing_else(round_: int, tmp_path: Path) -> None:
    settings: Settings = {"overlay.budget": 9000, "overlay.kind": "complete"}
    everyone, agreement = before_mixing(tmp_path, settings, "dsgd-hybrid", round_)
    before, said = stacked(everyone), say(everyone)
    for one in everyone:
        one.mix(heard_by(one.name, said))
    after = stacked(everyone)
    moved = 0
    for one in everyone:
        wanted = {name: by_agent[one.name].clone() for name, by_agent in before.items() if one.name in by_agent}
        for sender, update in heard_by(one.name, said).items():
            assert len(encode(update)) <= 9000
            for piece in update.pieces:  # by hand, from the bytes
                values = torch.from_numpy(np.frombuffer(piece.values, "<f4").astype(np.float64))
                place = slice(piece.begin, piece.begin + len(values))
                degrees = [len(g) for n, g in agreement_graph(agreement, piece.slice).items() if n in (one.name, sender)]
                own = before[piece.slice][one.name][place]
                wanted[piece.slice][place] += (values - own) / (1 + max(degrees))
        for name, values_P in wanted.items():
            torch.testing.assert_close(after[name][one.name], values_P, rtol=1e-5, atol=1e-6)
            moved += int((after[name][one.name] != before[name][one.name]).sum())
    assert 0 < moved < sum(values_P.numel() for by_agent in before.values() for values_P in by_agent.values())
    for name, by_agent in after.items():
        means = [torch.stack(list(of.values())).mean(0) for of in (by_agent, before[name])]
        torch.testing.assert_close(*means, rtol=1e-5, atol=1e-6)


def agreement_graph(agreement: Agreement, slice_: str) -> Mapping[str, frozenset[str]]:
    return next(graph for name, graph in agreement.overlays.items() if name.partition("\0")[0] == slice_)


@pytest.mark.parametrize("budget", [3, 300])
def test_a_budget_that_is_too_small_for_all_slices_is_told_before_anybody_joins(budget: int, tmp_path: Path) -> None:
    with pytest.raises(ConcordError, match=rf"C103 .*overlay\.budget = {budget}: a link of 7 slices"):
        agent(agent_config(tmp_path, settings={"overlay.budget": budget}), "anna", BOTH)


def test_the_weight_of_a_silent_neighbour_stays_with_the_agent(tmp_path: Path) -> None:
    everyone, agreement = before_mixing(tmp_path, {"overlay.kind": "complete"}, "dsgd-hybrid")
    before, said = stacked(everyone), say(everyone)
    (anna, *_), silent = everyone, "carl"
    received = heard_by("anna", said)
    del received[silent]
    outcomes = {h.neighbour: h.outcome for h in anna.mix(received)}
    assert outcomes == {name: SILENT if name == silent else TAKEN for name in agreement.links("anna")}
    for name, values_P in values_by_slice(anna.config, anna.model).items():
        names = list(before[name])
        row_K = matrix_of(agreement, name, names)[names.index("anna")].clone()
        if silent in names:
            row_K[names.index("anna")] += row_K[names.index(silent)]
            row_K[names.index(silent)] = 0
        assert row_K.sum().item() == pytest.approx(1)
        torch.testing.assert_close(values_P, row_K @ torch.stack(list(before[name].values())), rtol=1e-5, atol=1e-6)


def test_alone_in_a_round_no_bit_changes(tmp_path: Path) -> None:
    (anna, *_), _ = before_mixing(tmp_path)
    before = weights(anna)
    assert {h.outcome for h in anna.mix({})} == {SILENT}
    assert same_weights(weights(anna), before)


def test_the_order_of_updates_changes_no_bit_and_bytes_are_counted(tmp_path: Path) -> None:
    results = []
    for order in (1, -1):
        everyone, _ = before_mixing(tmp_path, {"overlay.kind": "complete"})
        said = say(everyone)
        heard = everyone[0].mix(dict(list(heard_by("anna", said).items())[::order]))
        sizes = [(len(encode(said["anna"][h.neighbour])), len(encode(said[h.neighbour]["anna"]))) for h in heard]
        assert [(h.bytes_sent, h.bytes_received) for h in heard] == sizes
        results.append(weights(everyone[0]))
    assert same_weights(*results)


# Bad updates.

Spoil = Callable[[pb.SliceUpdate], None]


def of_the_round_before(update: pb.SliceUpdate) -> None:
    update.round = 1


def of_another_agent(update: pb.SliceUpdate) -> None:
    update.agent = "dora"


def changed(number: float, piece: int = 0) -> Spoil:
    def change(update: pb.SliceUpdate) -> None:
        values = np.frombuffer(update.pieces[piece].values, "<f4").copy()
        values[3] = number
        update.pieces[piece].values = values.tobytes()

    return change


def shorter(update: pb.SliceUpdate) -> None:
    update.pieces[-1].values = update.pieces[-1].values[:-VALUE_BYTES]


def twice(update: pb.SliceUpdate) -> None:
    update.pieces.append(update.pieces[0])


BAD: Mapping[str, tuple[Spoil, str]] = {
    "other round": (of_the_round_before, "an update of 'carl' for round 1 in round 2"),
    "other agent": (of_another_agent, "an update of 'dora' for round 2 in round 2"),
    "far away": (changed(2000.0), "away from the own one, the bound is 1000"),
    "far away in the last slice": (changed(-3e38, -1), "slice 'unique.tone' is 3e+38 away from the own one"),
    "not a number": (changed(math.nan), "slice 'encoder.image' has a value that is not finite"),
    "infinite in the last slice": (changed(math.inf, -1), "slice 'unique.tone' has a value that is not finite"),
    "too short": (shorter, "not what the link carries in this round"),
    "twice": (twice, "of slice 'encoder.image' from value 0: not what the link carries"),
}


def test_a_slice_that_only_the_other_end_links_is_not_read(tmp_path: Path) -> None:
    wanted: list[dict[str, Tensor]] = []
    for foreign in (True, False):
        everyone, _ = before_mixing(tmp_path, {"overlay.kind": "complete"})
        anna, received = everyone[0], heard_by("anna", say(everyone))
        if foreign:
            received["carl"].pieces.add(slice="encoder.tone-of-nobody", values=b"123", degree=1)
        assert {h.outcome for h in anna.mix(received)} == {TAKEN}
        wanted.append(weights(anna))
    assert same_weights(*wanted)


def test_two_that_see_others_there_mix_with_the_same_weights(tmp_path: Path) -> None:
    settings: Settings = {"local-steps": 1, "overlay.kind": "complete", "aggregation.norm-bound": 1e4}
    config = agent_config(tmp_path, "parse", settings)
    anna, bert, carl = (agent(config, name, held) for name, held in (("anna", BOTH), ("bert", BOTH), ("carl", IMAGE)))
    anna.train(1, agreement_of([anna, bert, carl], config).links("anna"))
    bert.train(1, agreement_of([anna, bert], config).links("bert"))  # for it, carl is gone already
    for number, one in enumerate((anna, bert)):
        scattered(one, number)
    before = stacked([anna, bert])
    said, heard = anna.updates()["bert"], bert.updates()["anna"]
    assert [h.outcome for h in anna.mix({"bert": heard}) + bert.mix({"anna": said})] == [TAKEN, SILENT, TAKEN]
    for name, after in stacked([anna, bert]).items():
        share = 1 / 3 if name.endswith(".image") else 1 / 2
        moved = share * (before[name]["bert"] - before[name]["anna"])
        torch.testing.assert_close(after["anna"], before[name]["anna"] + moved, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(after["bert"], before[name]["bert"] - moved, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("degree", [0, 1, 2**32 - 1])
def test_whatever_degree_another_claims_its_weight_is_no_larger_than_that_of_the_others(degree: int, tmp_path: Path) -> None:
    everyone, agreement = before_mixing(tmp_path, {"overlay.kind": "complete"}, "dsgd-modality")
    anna, before, received = everyone[0], stacked(everyone)["encoder.image"], heard_by("anna", say(everyone))
    for piece in received["carl"].pieces:
        piece.degree = degree
    assert {h.outcome for h in anna.mix({"carl": received["carl"]})} == {TAKEN, SILENT}
    weight = 1 / (1 + max(degree, len(agreement_graph(agreement, "encoder.image")["anna"])))
    moved = values_by_slice(anna.config, anna.model)["encoder.image"] - before["anna"]
    torch.testing.assert_close(moved, weight * (before["carl"] - before["anna"]), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_update_is_refused_whole_with_its_reason_and_the_others_count(name: str, tmp_path: Path) -> None:
    spoil, why = BAD[name]
    settings: Settings = {"overlay.kind": "complete", "aggregation.norm-bound": 1000.0}
    wanted: list[dict[str, Tensor]] = []
    for bad in (True, False):
        everyone, _ = before_mixing(tmp_path, settings, round_=2)
        anna, received = everyone[0], heard_by("anna", say(everyone))
        if bad:
            spoil(received["carl"])
        else:
            del received["carl"]
        heard = {h.neighbour: h for h in anna.mix(received)}
        assert heard["carl"].outcome == SILENT if not bad else why in heard["carl"].outcome
        assert {h.outcome for n, h in heard.items() if n != "carl"} == {TAKEN}
        assert heard["carl"].bytes_received == (len(encode(received["carl"])) if bad else 0)
        wanted.append(weights(anna))
    assert same_weights(*wanted)


def test_the_bound_is_of_the_distance_in_each_slice(tmp_path: Path) -> None:
    everyone, _ = before_mixing(tmp_path, {"overlay.kind": "complete"}, "dsgd-modality")
    of = stacked(everyone)["encoder.image"]
    distances = [float((values_P - of["bert"]).norm()) for name, values_P in of.items() if name != "bert"]
    for bound, outcome in ((0.999 * min(distances), "away from the own one, the bound is "), (1.001 * max(distances), TAKEN)):
        settings: Settings = {"overlay.kind": "complete", "aggregation.norm-bound": bound}
        everyone, _ = before_mixing(tmp_path, settings, "dsgd-modality")
        heard = everyone[1].mix(heard_by("bert", say(everyone)))
        assert len(heard) == len(distances)
        assert all(outcome in h.outcome for h in heard)


def test_whoever_has_no_link_is_not_heard(tmp_path: Path) -> None:
    everyone, _ = before_mixing(tmp_path, {"overlay.kind": "complete"})
    bert, dora = everyone[1], everyone[3]
    before = weights(bert)
    (some, *_) = dora.updates().values()
    assert "dora" not in {h.neighbour for h in bert.mix({"dora": some})}
    assert same_weights(weights(bert), before)


def test_a_message_of_any_size_gives_a_short_reason(tmp_path: Path) -> None:
    everyone, _ = before_mixing(tmp_path)
    anna, said = everyone[0], say(everyone)
    received = heard_by("anna", said)
    for update in received.values():
        update.agent = "x" * 10_000
    assert all(len(h.outcome) < 300 for h in anna.mix(received))


# Interruptions.

GOES = 4
