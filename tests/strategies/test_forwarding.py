"""A server that forwards: bad parcels are left out with their reason, the silent return, and a cut run ends as a whole one."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import Error, Message
from power_cut import run_whole_and_cut
from tiny_run import (
    TRAIN,
    Arrays,
    Attack,
    NamedNodes,
    Settings,
    at,
    edit,
    edited,
    in_turn,
    instruction_of,
    lines,
    report_of,
    run_tiny,
    tiny_config,
)

from client_app.agents.agent import Agent
from client_app.data.federation import build_federation
from concord.config import RunConfig
from concord.wire.messages import SCHEMA_VERSION
from concord.wire.v1 import federation_pb2 as pb
from peer_app.in_process import Neighbourhood, Reaches, always
from server_app.in_process import Intercept, pass_on
from server_app.results import Result
from server_app.run import open_run
from strategies.parse import Mail

IMAGES = ("image-forms-a", "image-forms-b", "image-forms-c")
NODES = (*IMAGES, "tone-north")
HOSTILE, NAME = 2, NODES[1]
PARSE: Settings = {"method": "parse", "overlay.kind": "complete", "local-steps": 1, "round-timeout": 0.2}

Accuracies = dict[str, dict[tuple[str, str], float]]  # by node, split and name of the prediction


# Bad parcels.


def for_who_has_nothing_in_common(report: pb.Report, arrays: Arrays) -> None:
    report.parcels[0].to.append("tone-north")


def for_nobody(report: pb.Report, arrays: Arrays) -> None:
    report.parcels[0].to.append("x" * 1000)


def for_itself(report: pb.Report, arrays: Arrays) -> None:
    report.parcels[0].to.append(NAME)


def to_one_twice(report: pb.Report, arrays: Arrays) -> None:
    report.parcels[0].to.append(report.parcels[0].to[0])


def parcel_twice(report: pb.Report, arrays: Arrays) -> None:
    report.parcels.append(report.parcels[0])


def in_anothers_name(report: pb.Report, arrays: Arrays) -> None:
    report.parcels[0].update.agent = IMAGES[0]


def in_nobodys_name(report: pb.Report, arrays: Arrays) -> None:
    report.parcels[0].update.ClearField("agent")


def of_the_round_before(report: pb.Report, arrays: Arrays) -> None:
    report.parcels[0].update.round -= 1


def more_values(report: pb.Report, arrays: Arrays) -> None:
    report.parcels[0].update.pieces.extend(list(report.parcels[0].update.pieces))


def many_heard(report: pb.Report, arrays: Arrays) -> None:
    for number in range(1000):
        report.parcels[0].update.heard[f"agent-{number:05}"] = 1


def an_array(report: pb.Report, arrays: Arrays) -> None:
    arrays["encoder.image"] = np.zeros(3, np.float32)


def figures_of_others(report: pb.Report, arrays: Arrays) -> None:
    report.evaluations[0].modality = "tone"


def too_many_right(report: pb.Report, arrays: Arrays) -> None:
    report.evaluations[0].correct = report.evaluations[0].examples + 1


def endless_loss(report: pb.Report, arrays: Arrays) -> None:
    report.losses["task"] = math.inf


ATTACKS: Mapping[str, tuple[Attack, str]] = {
    "for a stranger": (edit(for_who_has_nothing_in_common), "unknown-group"),
    "for nobody": (edit(for_nobody), "unknown-group"),
    "for itself": (edit(for_itself), "unknown-group"),
    "to one twice": (edit(to_one_twice), "unknown-group"),
    "parcel twice": (edit(parcel_twice), "unknown-group"),
    "in another's name": (edit(in_anothers_name), "other-node"),
    "in nobody's name": (edit(in_nobodys_name), "other-node"),
    "of another round": (edit(of_the_round_before), "other-node"),
    "more values": (edit(more_values), "wrong-shape"),
    "many heard": (edit(many_heard), "wrong-shape"),
    "an array": (edit(an_array), "undecodable"),
    "figures of others": (edit(figures_of_others), "unknown-modality"),
    "too many right": (edit(too_many_right), "evaluation"),
    "endless loss": (edit(endless_loss), "evaluation"),
    "error": (lambda message, reply: Message(Error(7, "out of memory"), reply_to=message), "node-error"),
    "silence": (lambda message, reply: None, "no-reply"),
}
GOOD_ROUNDS = 1  # before the attacks, of which every later round has one


class Post:
    """What came to each agent, and what each said, by round; with hands on the replies."""

    def __init__(self, then: Intercept = pass_on) -> None:
        self.then = then
        self.links: dict[int, dict[str, dict[str, set[str]]]] = {}  # by round, agent and neighbour: slices
        self.received: dict[int, dict[str, set[str]]] = {}  # by round and agent: senders
        self.parcels: dict[int, dict[str, list[pb.Parcel]]] = {}

    def __call__(self, node_id: int, message: Message, reply: Message) -> Message | None:
        if message.metadata.message_type == TRAIN:
            told, name = instruction_of(message), NODES[node_id - 1]
            links = {link.neighbour: {s.slice for s in link.slices} for link in told.links}
            self.links.setdefault(told.round, {})[name] = links
            self.received.setdefault(told.round, {})[name] = {update.agent for update in told.received}
            if reply.has_content():
                self.parcels.setdefault(told.round, {})[name] = list(report_of(reply).parcels)
        return self.then(node_id, message, reply)


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, list[dict[str, Any]], Post]:
    """A run in which agent `NAME` tries another attack in every round, and what its rounds say."""
    folder = tmp_path_factory.mktemp("attacked")
    post = Post(in_turn(HOSTILE, (attack for attack, _ in ATTACKS.values()), GOOD_ROUNDS + 1))
    result = run_tiny(folder, {**PARSE, "rounds": GOOD_ROUNDS + len(ATTACKS)}, NODES, post)
    return result, lines(folder, "round"), post


@pytest.mark.parametrize("name", ATTACKS)
def test_a_bad_parcel_is_left_out_with_its_reason_and_the_others_are_forwarded(
    name: str, attacked: tuple[Result, list[dict[str, Any]], Post]
) -> None:
    result, rounds, post = attacked
    round_ = GOOD_ROUNDS + 1 + list(ATTACKS).index(name)
    rejections = [r for r in result.rejections if r.round == round_]
    assert [(r.node, r.reason) for r in rejections] == [(NAME, ATTACKS[name][1])]
    assert len(rejections[0].detail) < 300
    assert [(r["asked"], r["replies"], r["rejected"]) for r in rounds if r["round"] == round_] == [(4, 3, 1)]
    if round_ + 1 in post.received:
        others = set(IMAGES) - {NAME}
        assert post.received[round_ + 1] == {
            NAME: others,  # what is said to it still comes
            **{other: others - {other} for other in others},
            "tone-north": set(),
        }


def test_a_run_of_attacks_ends_well(attacked: tuple[Result, list[dict[str, Any]], Post]) -> None:
    result, rounds, _ = attacked
    assert [r["rejected"] for r in rounds] == [0] * GOOD_ROUNDS + [1] * len(ATTACKS) + [0]
    assert result.node_accuracy.keys() == set(NODES)
    figures = [value for splits in result.node_accuracy.values() for by_name in splits.values() for value in by_name.values()]
    assert all(math.isfinite(value) for value in figures)


# The same figures as without a server.


def whole_run(config: RunConfig, reaches: Reaches = always) -> Accuracies:
    federation = build_federation("demo", None, config.seed, "labelled")
    agents = [Agent(config, node, federation.anchors, torch.device("cpu")) for node in federation.nodes if node.name in NODES]
    hood = Neighbourhood(agents, config, reaches)
    hood.rounds()
    return {
        name: {(e.split, e.modality): e.correct / e.examples for e in evaluations}
        for name, evaluations in hood.evaluate().items()
    }


def forwarded(config: RunConfig, intercept: Intercept) -> tuple[Result, Accuracies]:
    result = open_run(config, NamedNodes(config, NODES, intercept)).rounds()
    return result, {
        node: {(split, name): value for split, by_name in splits.items() for name, value in by_name.items()}
        for node, splits in result.node_accuracy.items()
    }


LEARNS: Settings = {**PARSE, "local-steps": 4, "lr": 0.02, "rounds": 4}  # so that who is heard shows in the figures


def silent_in_round_2(node_id: int, message: Message, reply: Message) -> Message | None:
    return None if node_id == HOSTILE and at(TRAIN, 2, message) else reply


def test_who_is_silent_for_a_round_returns_and_was_only_not_heard(tmp_path: Path) -> None:
    config, post = tiny_config(tmp_path, LEARNS), Post(silent_in_round_2)
    result, figures = forwarded(config, post)
    assert [(r.round, r.node, r.reason) for r in result.rejections] == [(2, NAME, "no-reply")]
    assert [NAME in post.received[round_]["image-forms-a"] for round_ in (1, 2, 3, 4)] == [False, True, False, True]
    assert post.received[3][NAME] == {"image-forms-a", "image-forms-c"}
    assert all(NAME in post.links[round_]["image-forms-a"] for round_ in (1, 2, 3, 4))
    assert figures == whole_run(config, lambda round_, sender, receiver: (round_, sender) != (2, NAME))
    assert figures != whole_run(config)


def test_a_round_with_too_few_replies_is_silence_of_all(tmp_path: Path) -> None:
    config, post = tiny_config(tmp_path, {**LEARNS, "min-replies": 4}), Post(silent_in_round_2)
    _, figures = forwarded(config, post)
    assert [line["kept-old-model"] for line in lines(tmp_path, "round")] == [False, True, False, False, False]
    assert set(map(len, post.received[3].values())) == {0}, "what was said in round 1 does not come twice"
    assert figures == whole_run(config, lambda round_, sender, receiver: round_ != 2)
    assert figures != whole_run(config)


def test_a_budget_holds_for_who_does_not_keep_it_too(tmp_path: Path) -> None:
    def fill_up(report: pb.Report, arrays: Arrays) -> None:
        update = report.parcels[0].update
        update.pieces[0].values += bytes(3000 + 1 - update.ByteSize())

    attacks = in_turn(HOSTILE, [edit(fill_up)], 1)
    result = run_tiny(tmp_path, {**PARSE, "overlay.budget": 3000, "rounds": 1}, NODES, attacks)
    assert [(r.node, r.reason) for r in result.rejections] == [(NAME, "wrong-shape")]
    assert "3000" in result.rejections[0].detail


def test_a_value_that_is_not_finite_is_refused_by_the_receiver(tmp_path: Path) -> None:
    def poisoned(report: pb.Report, arrays: Arrays) -> None:
        for parcel in report.parcels:
            piece = parcel.update.pieces[0]
            piece.values = b"\x00\x00\xc0\x7f" + piece.values[4:]

    def intercept(node_id: int, message: Message, reply: Message) -> Message:
        return edited(reply, poisoned) if node_id == HOSTILE and at(TRAIN, 2, message) else reply

    config = tiny_config(tmp_path, LEARNS)
    result, figures = forwarded(config, intercept)
    assert result.rejections == []  # the server reads no values
    assert figures == whole_run(config, lambda round_, sender, receiver: (round_, sender) != (2, NAME))
    links = lines(tmp_path, "link")
    assert {line["round"] for line in links} == set(range(1, config.rounds + 1))
    refused = {(line["round"], line["neighbour"]) for line in links if line["received"] != "taken"}
    assert refused == {(2, NAME)}
    assert all("not finite" in line["received"] for line in links if line["neighbour"] == NAME and line["round"] == 2)


class Comings(NamedNodes):
    """Nodes of which the second can be away."""

    away = False

    def get_node_ids(self) -> list[int]:
        return [node_id for node_id in super().get_node_ids() if not (self.away and node_id == HOSTILE)]


def test_who_is_away_is_in_no_overlay_until_it_is_back(tmp_path: Path) -> None:
    config, post = tiny_config(tmp_path, {**PARSE, "rounds": 4}), Post()
    grid = Comings(config, NODES, post)
    run = open_run(config, grid)
    run.wait_for_nodes()
    for round_, grid.away in enumerate((False, True, True, False), 1):
        run.train_round(round_)
    run.evaluate()
    assert [sorted(post.links[round_]) == sorted(NODES) for round_ in (1, 2, 3, 4)] == [True, False, False, True]
    assert [NAME in post.links[round_]["image-forms-a"] for round_ in (1, 2, 3, 4)] == [True, False, False, True]
    assert post.links[2]["image-forms-a"].keys() == {"image-forms-c"}
    assert post.received[2]["image-forms-a"] == {NAME, "image-forms-c"}  # what it said before it left
    assert post.received[3]["image-forms-a"] == {"image-forms-c"}
    assert post.received[4][NAME] == set()  # nobody spoke to it
    assert lines(tmp_path, "rejection") == []


# What travels.


@pytest.mark.parametrize("head", ["modality", "shared"])
@pytest.mark.parametrize("budget", [0, 3000])
def test_only_slices_that_both_ends_can_use_travel(head: str, budget: int, tmp_path: Path) -> None:
    post = Post()
    settings: Settings = {"parse.redundant-head": head, "overlay.budget": budget, "rounds": 2}
    result, _ = forwarded(tiny_config(tmp_path, {**PARSE, **settings}), post)
    assert result.rejections == []
    image = {"encoder.image", "redundant.image", "unique.image", "synergistic.image"}
    for_all = {"redundant-head"} if head == "shared" else set()
    for round_ in (1, 2):
        for sender in NODES:
            wanted = {
                other: (image if sender in IMAGES and other in IMAGES else set()) | for_all for other in NODES if other != sender
            }
            wanted = {other: slices for other, slices in wanted.items() if slices}
            assert post.links[round_][sender] == wanted
            said = {to: parcel.update for parcel in post.parcels[round_][sender] for to in parcel.to}
            assert said.keys() == wanted.keys()
            for receiver, update in said.items():
                carried = {piece.slice for piece in update.pieces}
                assert carried <= wanted[receiver] if budget else carried == wanted[receiver]
                assert not budget or update.ByteSize() <= budget
    assert len(post.parcels[1]["image-forms-a"]) == (1 if head == "modality" else 2)  # what is the same for several, once
    assert post.received[1] == {name: set() for name in NODES}


def test_an_agent_that_learns_alone_sends_no_parcel(tmp_path: Path) -> None:
    post = Post()
    forwarded(tiny_config(tmp_path, {**PARSE, "method": "alone", "rounds": 2}), post)
    assert not any(parcels for by_name in post.parcels.values() for parcels in by_name.values())


# A server that was stopped.


@pytest.mark.parametrize("settings", [{}, {"overlay.budget": 3000, "adapter.kind": "dora"}, {"method": "harmony"}], ids=str)
def test_a_run_that_was_cut_in_round_3_ends_as_if_it_was_not(settings: Settings, tmp_path: Path) -> None:
    settings = {**LEARNS, "min-nodes": 4, "round-timeout": 600.0, **settings}
    post = Post()
    run_whole_and_cut(tmp_path, settings, NODES, post)
    assert post.received[3]["image-forms-a"] == {"image-forms-b", "image-forms-c"}  # it was in the checkpoint


def test_what_agents_told_of_a_round_is_written_once_when_a_run_is_given_more_rounds(tmp_path: Path) -> None:
    settings = {**PARSE, "round-timeout": 600.0}
    run_tiny(tmp_path / "whole", {**settings, "rounds": 3}, NODES)
    run_tiny(tmp_path / "cut", {**settings, "rounds": 2}, NODES)
    run_tiny(tmp_path / "cut", {**settings, "rounds": 3, "resume": True}, NODES)
    whole, cut = (lines(tmp_path / name, "link") for name in ("whole", "cut"))
    assert len(whole) == 3 * 6
    assert cut == whole


def letters(mail: Mail, *names: str) -> dict[str, list[pb.SliceUpdate]]:
    found = {}
    for name in names:
        instruction = pb.Instruction(phase=pb.PHASE_EVALUATE)
        mail.write(instruction, name)
        assert not instruction.links
        found[name] = list(instruction.received)
    return found


def test_mail_goes_into_a_checkpoint_and_back_and_is_forgotten_after_a_round() -> None:
    updates = {
        name: pb.SliceUpdate(schema_version=SCHEMA_VERSION, agent=name, round=3, pieces=[pb.Piece(slice="x", values=b"1234")])
        for name in ("anna", "bert")
    }
    reports = [
        pb.Report(node="bert", parcels=[pb.Parcel(to=["carl", "anna"], update=updates["bert"])]),
        pb.Report(node="anna", parcels=[pb.Parcel(to=["carl"], update=updates["anna"])]),
    ]
    mail, again = Mail(), Mail()
    assert mail.state() == {}
    mail.update(reports)
    wanted = {"anna": [updates["bert"]], "bert": [], "carl": [updates["anna"], updates["bert"]]}
    assert letters(mail, *wanted) == wanted
    again.load(copy.deepcopy(mail.state()))
    assert letters(again, *wanted) == wanted
    assert again.state().keys() == mail.state().keys() == {"anna", "bert"}
    mail.update([])
    assert letters(mail, *wanted) == {"anna": [], "bert": [], "carl": []}
    assert mail.state() == {}
