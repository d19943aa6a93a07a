"""An agent goes on from its checkpoint as if it had never stopped, and leaves out what it missed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from tiny_agents import (
    BOTH,
    HELD,
    IMAGE,
    agent,
    agent_config,
    agents,
    agreement_of,
    heard_by,
    same_weights,
    say,
    weights,
)
from tiny_run import DEFAULTS, Settings
from torch import Tensor

from client_app.agents.agent import SILENT, TAKEN, Agent, Heard
from client_app.store import RoundStore
from concord.config import RunConfig
from concord.errors import ConcordError
from concord.wire.slices import overhead
from peer_app.in_process import Neighbourhood

GOES = 4  # rounds


def play(
    folder: Path, settings: Settings, stop: tuple[int, str] | None = None
) -> tuple[list[dict[str, Tensor]], list[list[Heard]]]:
    """Rounds of agents with disks; one of them may be made anew in a round, after it was trained or mixed."""
    config = agent_config(folder, "parse", {"rounds": GOES, **settings})
    everyone = {name: agent(config, name, held, RoundStore(folder / name)) for name, held in HELD.items()}
    agreement = agreement_of(list(everyone.values()), config)
    heard: list[list[Heard]] = []
    for round_ in range(1, GOES + 1):
        for one in everyone.values():
            one.train(round_, agreement.links(one.name))
        if stop == (round_, "trained"):
            everyone["carl"] = again(config, folder, round_, trained=True)
            assert everyone["carl"].links == agreement.links("carl")
        said = say(list(everyone.values()))
        for name, one in everyone.items():
            heard.append(one.mix(heard_by(name, said)))
            one.end_round()
        if stop == (round_, "mixed"):
            everyone["carl"] = again(config, folder, round_, trained=False)
    return [weights(one) for one in everyone.values()], heard


def again(config: RunConfig, folder: Path, round_: int, *, trained: bool) -> Agent:
    one = agent(config, "carl", HELD["carl"], RoundStore(folder / "carl"))
    assert one.load()
    assert (one.round_, one.trained) == (round_, trained)
    return one


@pytest.mark.parametrize("stop", [(1, "trained"), (2, "trained"), (2, "mixed"), (3, "mixed")])
@pytest.mark.parametrize("settings", [DEFAULTS, {"adapter.kind": "dora", "overlay.budget": 3000}], ids=["full", "dora, budget"])
def test_an_agent_that_was_stopped_goes_on_as_if_it_was_not(stop: tuple[int, str], settings: Settings, tmp_path: Path) -> None:
    whole, heard = play(tmp_path / "whole", settings)
    cut, heard_again = play(tmp_path / "cut", settings, stop)
    assert heard_again == heard
    for one, other in zip(whole, cut, strict=True):
        assert same_weights(one, other)


def test_an_agent_goes_back_to_the_round_before_the_one_that_is_asked_for(tmp_path: Path) -> None:
    config = agent_config(tmp_path)
    one = agent(config, "anna", BOTH, RoundStore(tmp_path / "anna"))
    assert not one.load()
    kept = []
    for round_ in (1, 2, 3):
        one.train(round_, {})
        kept.append(weights(one))
    back = agent(config, "anna", BOTH, RoundStore(tmp_path / "anna"))
    assert back.load(before=3)
    assert back.round_ == 2
    assert same_weights(weights(back), kept[1])
    assert back.load()
    assert (back.round_, back.trained) == (3, True)
    assert same_weights(weights(back), kept[2])
    assert not agent(config, "anna", BOTH).load()


def test_what_was_learnt_in_the_last_round_of_a_run_is_found(tmp_path: Path) -> None:
    config = agent_config(tmp_path, settings={"rounds": 2})
    one = agent(config, "anna", BOTH, RoundStore(tmp_path / "anna"))
    for round_ in (1, 2):
        one.train(round_, {})
        one.mix({})
        one.end_round()
    back = agent(config, "anna", BOTH, RoundStore(tmp_path / "anna"))
    assert back.load()
    assert (back.round_, back.trained) == (2, False)
    assert same_weights(weights(back), weights(one))


@pytest.mark.parametrize(
    ("settings", "held"),
    [({"model.width": 32}, BOTH), ({"parse.slice-width": 5}, BOTH), ({"parse.redundant-head": "shared"}, BOTH), ({}, IMAGE)],
)
def test_a_checkpoint_of_another_model_is_named(settings: Settings, held: Sequence[str], tmp_path: Path) -> None:
    one = agent(agent_config(tmp_path), "anna", BOTH, RoundStore(tmp_path / "anna"))
    one.train(1, {})
    other = agent(agent_config(tmp_path, settings=settings), "anna", held, RoundStore(tmp_path / "anna"))
    before = weights(other)
    with pytest.raises(ConcordError, match=rf"C402 .*{tmp_path / 'anna'}"):
        other.load()
    assert same_weights(weights(other), before)


def test_an_agent_leaves_out_rounds_and_never_goes_back(tmp_path: Path) -> None:
    one = agent(agent_config(tmp_path), "anna", BOTH)
    one.train(1, {})
    kept = weights(one)
    one.skip_to(3)
    assert (one.round_, one.trained) == (3, False)
    one.skip_to(2)
    assert one.round_ == 3
    assert same_weights(weights(one), kept)
    assert one.hello().round == 3


def test_in_one_process_what_does_not_arrive_is_silence(tmp_path: Path) -> None:
    config = agent_config(tmp_path, settings={"overlay.kind": "complete"})
    hood = Neighbourhood(agents(config, HELD), config, lambda round_, sender, receiver: (sender, receiver) != ("carl", "anna"))
    first = hood.round(1)
    assert {h.neighbour: h.outcome for h in first.heard["anna"]} | {"carl": TAKEN} == dict.fromkeys(
        hood.agreement.links("anna"), TAKEN
    )
    assert {h.neighbour: h.outcome for h in first.heard["anna"]}["carl"] == SILENT
    assert {h.outcome for h in first.heard["carl"]} == {TAKEN}
    assert first.bytes_sent == sum(h.bytes_sent for heard in first.heard.values() for h in heard) > overhead(["x"])


def test_what_a_stage_does_not_train_is_neither_said_nor_mixed(tmp_path: Path) -> None:
    config = agent_config(tmp_path, "harmony", {"rounds": 2, "overlay.kind": "complete"})
    hood = Neighbourhood(agents(config, {"anna": BOTH, "bert": BOTH, "carl": IMAGE}), config)
    anna = hood.agents[0]
    hood.round(1)
    assert {piece.slice for piece in anna.updates()["bert"].pieces} == {
        f"{kind}.{m}" for kind in ("encoder", "classifier") for m in BOTH
    }
    hood.round(2)
    assert {piece.slice for piece in anna.updates()["bert"].pieces} == {"head.image+tone"}
    assert not anna.updates()["carl"].pieces
