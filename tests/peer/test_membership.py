"""Who is there, as one agent sees it: whom it lets in, what it believes of others, who is gone, and who exchanges what."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_agents import BOTH, IMAGE, agent, agent_config, values_by_slice

from client_app.agents.agent import TAKEN
from concord.agreement import MUST_BE_ALIKE, agree, federation_digest, links_from_wire, links_to_wire, settings_alike
from concord.config import RunConfig, parse_config
from concord.overlay import build_overlay
from concord.wire.messages import SCHEMA_VERSION, encode
from concord.wire.v1 import federation_pb2 as pb
from peer_app.in_process import Neighbourhood
from peer_app.membership import Membership, UnfitError, majority_round, misfit

OTHERS = ("bert", "carl", "dora", "emil")
PATIENCE = 3


def run(**settings: object) -> RunConfig:
    return parse_config({"method": "parse", "overlay.patience": PATIENCE, **settings})


def manifest(name: str, *shape: int) -> pb.GroupManifest:
    return pb.GroupManifest(group=name, tensors=[pb.TensorSpec(name="weight", shape=list(shape))])


def hello(agent: str, round_: int = 1, width: int = 4) -> pb.Hello:
    return pb.Hello(
        schema_version=SCHEMA_VERSION,
        app_version=version("concord"),
        agent=agent,
        settings=settings_alike(run()),
        anchor_digest="ab" * 32,
        concepts=["zero", "one"],
        holdings=[pb.Holding(modality="image", examples=8, encoder="image-1")],
        slices=[manifest("encoder.image", width, width), manifest("redundant-head", 2, 6)],
        round=round_,
    )


def update(agent: str, round_: int, **heard: int) -> pb.SliceUpdate:
    return pb.SliceUpdate(schema_version=SCHEMA_VERSION, agent=agent, round=round_, heard=heard)


def members(*there: str, round_: int = 1, **settings: object) -> Membership:
    membership = Membership(hello("anna"), ["anna", *OTHERS], run(**settings))
    membership.enter(round_)
    for name in there:
        membership.take(hello(name, round_))
    return membership


def neighbours(membership: Membership) -> set[str]:
    return set(membership.agreement().links("anna"))


# Who is let in.

Change = Callable[[pb.Hello], None]


def other_version(other: pb.Hello) -> None:
    other.app_version = "0.0.9"


def other_run(other: pb.Hello) -> None:
    other.settings.update(settings_alike(run(seed=1, rounds=7)))


def other_concepts(other: pb.Hello) -> None:
    other.concepts.append("two")


def other_order(other: pb.Hello) -> None:
    other.concepts[:] = ["one", "zero"]


def other_anchors(other: pb.Hello) -> None:
    other.anchor_digest = "cd" * 32


def other_encoder(other: pb.Hello) -> None:
    other.holdings[0].encoder = "image-2"


def nothing_said(other: pb.Hello) -> None:
    other.app_version = ""


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (other_version, "bert has Concord '0.0.9', anna "),
        (nothing_said, "bert has Concord '', anna "),
        (
            other_run,
            r"another run than anna: rounds \('7' there, '12' here\), seed \('1' there, '0' here\) must be the same for all",
        ),
        (other_concepts, "bert has a label space of 3 classes that is not that of anna"),
        (other_order, "bert has a label space of 2 classes that is not that of anna"),
        (other_anchors, "bert has anchors 'cdcdcdcdcdcd', anna 'abababababab': copy the same set"),
        (other_encoder, "bert reads image by 'image-2', anna by 'image-1'"),
    ],
)
def test_an_agent_that_does_not_fit_is_refused_with_the_reason(change: Change, why: str) -> None:
    membership, other = members(), hello("bert")
    assert misfit(hello("anna"), other) == ""
    change(other)
    with pytest.raises(UnfitError, match=why):
        membership.take(other)
    assert membership.present() == membership.known() == frozenset()
    assert membership.heard() == {"anna": 1}
    membership.take(hello("bert"))  # once it is mended
    assert membership.present() == {"bert"}


def test_a_modality_that_only_one_of_them_holds_is_read_by_anything() -> None:
    other = hello("bert")
    other.holdings.append(pb.Holding(modality="tone", encoder="tone-9"))
    assert misfit(hello("anna"), other) == misfit(other, hello("anna")) == ""


@pytest.mark.parametrize(("slices", "tensors", "fits"), [(254, 0, True), (255, 0, False), (1, 9_998, True), (1, 9_999, False)])
def test_an_offer_that_is_too_large_to_draw_overlays_from_is_refused(slices: int, tensors: int, fits: bool) -> None:
    other = hello("bert")  # with two slices of a tensor
    other.slices.extend(pb.GroupManifest(group=str(number)) for number in range(slices))
    other.slices[0].tensors.extend(pb.TensorSpec() for _ in range(tensors))
    assert (misfit(hello("anna"), other) == "") == fits


@pytest.mark.parametrize("name", ["zora", "", "anna"])
def test_whoever_it_was_not_told_of_is_refused(name: str) -> None:
    with pytest.raises(UnfitError, match=f"'{name}' is not among the agents that anna was told of"):
        members().take(hello(name))


def test_what_another_says_of_itself_makes_no_long_reason() -> None:
    other = hello("bert")
    other.app_version = "9" * 10_000
    assert len(misfit(hello("anna"), other)) < 200
    other.app_version = hello("anna").app_version
    other.holdings[0].encoder = "x" * 10_000
    assert len(misfit(hello("anna"), other)) < 200
    other.settings.update(dict.fromkeys(hello("anna").settings, "x" * 10_000))
    assert len(misfit(hello("anna"), other)) < 700


def test_the_settings_that_must_be_alike_and_those_that_may_differ() -> None:
    own = federation_digest(run())
    alike = {"method": "harmony", "seed": 5, "rounds": 99, "overlay.kind": "ring", "overlay.degree": 6, "overlay.budget": 9999}
    assert alike.keys() == set(MUST_BE_ALIKE)
    assert len({own, *(federation_digest(run(**{key: value})) for key, value in alike.items())}) == 1 + len(alike)
    may_differ = {"local-steps": 3, "lr": 0.1, "model.width": 32, "overlay.patience": 9, "run-folder": "x", "device": "cpu"}
    assert federation_digest(run(**may_differ)) == own


# Who is there, and who is gone.


def test_whoever_is_silent_for_longer_than_patience_is_gone_and_comes_back_when_it_speaks() -> None:
    membership = members("bert", "carl")
    for round_ in range(2, 2 + PATIENCE):
        membership.enter(round_)
        membership.hear(update("carl", round_))
        assert membership.present() == {"bert", "carl"}
    membership.enter(2 + PATIENCE)
    assert membership.present() == {"carl"}
    assert membership.known() == {"bert", "carl"}
    assert membership.absent() == {"bert", "dora", "emil"}
    membership.hear(update("bert", 1))  # of whatever round: it is alive
    assert membership.present() == {"bert", "carl"}
    assert membership.heard() == {"anna": 2 + PATIENCE, "bert": 2 + PATIENCE, "carl": 1 + PATIENCE}


def test_a_greeting_brings_back_whoever_is_gone() -> None:
    membership = members("bert")
    membership.enter(10)
    assert membership.present() == frozenset()
    membership.take(hello("bert", round_=2))  # it was started again and is behind
    assert membership.present() == {"bert"}
    assert membership.heard() == {"anna": 10, "bert": 10}


def test_hearsay_counts_as_far_as_the_own_round() -> None:
    membership = members("bert", "carl")
    membership.enter(3)
    membership.hear(update("bert", 3, carl=2))
    assert membership.heard() == {"anna": 3, "bert": 3, "carl": 2}
    membership.hear(update("bert", 3, carl=1))  # older news takes nothing away
    membership.hear(update("bert", 3, carl=2**32 - 1, anna=2**32 - 1, bert=9))
    assert membership.heard() == {"anna": 3, "bert": 3, "carl": 3}
    membership.enter(3 + PATIENCE)
    assert membership.present() == {"bert", "carl"}
    membership.enter(4 + PATIENCE)
    assert membership.present() == frozenset()


def test_nobody_is_let_in_by_hearsay_or_by_speaking_without_a_greeting() -> None:
    membership = members("bert")
    membership.hear(update("bert", 1, carl=1, zora=1))
    membership.hear(update("dora", 1))
    assert membership.heard().keys() == {"anna", "bert"}
    assert membership.present() == membership.known() == {"bert"}


def test_hearsay_of_a_neighbour_keeps_those_out_of_reach_present() -> None:
    membership = members("bert", "carl")
    for round_ in range(2, 20):
        membership.enter(round_)
        membership.hear(update("bert", round_, carl=round_ - 1))
        assert membership.present() == {"bert", "carl"}
        assert "carl" not in membership.quiet()


def test_whom_to_greet() -> None:
    membership = members("bert", "carl")
    assert membership.quiet() == {"dora", "emil"}  # never there: again and again
    membership.enter(PATIENCE - 1)
    membership.hear(update("carl", PATIENCE - 1))
    assert membership.quiet() == {"dora", "emil"}
    membership.enter(PATIENCE)  # one round before it would count as gone
    assert membership.quiet() == {"bert", "dora", "emil"}
    membership.enter(30)
    assert membership.quiet() == set(OTHERS)


@pytest.mark.parametrize("patience", [1, 2, 5])
def test_who_is_about_to_go_was_greeted_before(patience: int) -> None:
    membership = members("bert", **{"overlay.patience": patience})
    greeted = False
    for round_ in range(2, 10):
        greeted = greeted or "bert" in membership.quiet()
        membership.enter(round_)
        if "bert" not in membership.present():
            break
    assert round_ == 2 + patience
    assert greeted


def test_an_agent_that_begins_late_starts_with_its_own_round() -> None:
    membership = Membership(hello("anna", round_=7), OTHERS, run())
    membership.take(hello("bert", round_=7))
    assert membership.heard() == {"anna": 7, "bert": 7}


# Who exchanges what.


@pytest.mark.parametrize("kind", ["ring", "chordal-ring", "complete"])
def test_the_overlay_is_drawn_anew_when_somebody_goes_or_returns(kind: str) -> None:
    membership = members(*OTHERS, **{"overlay.kind": kind})
    all_there = membership.agreement()
    assert membership.agreement() is all_there
    membership.enter(2 + PATIENCE)
    for name in OTHERS[1:]:
        membership.hear(update(name, 2 + PATIENCE))
    left = membership.agreement()
    for agreement, names in ((all_there, {"anna", *OTHERS}), (left, {"anna", *OTHERS[1:]})):
        wanted = build_overlay(kind, names, 4, 0)  # type: ignore[arg-type]
        assert all(graph == wanted for graph in agreement.overlays.values())
        for name in names:
            assert set(agreement.links(name)) == wanted[name]
    membership.hear(update("bert", 2 + PATIENCE))
    assert membership.agreement() == all_there


def test_all_agents_that_see_the_same_draw_the_same() -> None:
    views = []
    for own in ("anna", *OTHERS):
        membership = Membership(hello(own), ["anna", *OTHERS], run())
        for name in ("anna", *OTHERS):
            if name != own:
                membership.take(hello(name))
        views.append(membership.agreement())
    assert all(view == views[0] for view in views)
    ends = {(a, b): links[b] for a in ("anna", *OTHERS) if (links := views[0].links(a)) for b in links}
    for (a, b), slices in ends.items():
        assert [s.slice for s in slices] == [s.slice for s in ends[b, a]]


def test_an_agent_alone_exchanges_nothing() -> None:
    assert members().agreement().links("anna") == {}


def test_slices_of_other_tensors_are_told_and_not_exchanged_and_all_others_are() -> None:
    membership = members("bert", **{"overlay.kind": "complete"})
    membership.take(hello("carl", width=8))
    agreement = membership.agreement()
    exchanged = {n: [s.slice for s in slices] for n, slices in agreement.links("anna").items()}
    assert exchanged == {"bert": ["encoder.image", "redundant-head"], "carl": ["redundant-head"]}
    (told,) = agreement.mismatches.values()
    assert told.startswith("slice encoder.image: ")
    assert {"anna, bert: 1 tensors, weight [4, 4]", "carl: 1 tensors, weight [8, 8]"} == set(
        told.removeprefix("slice encoder.image: ").split("; ")
    )


def test_who_returns_with_another_model_is_linked_by_what_it_has_now() -> None:
    membership = members("bert", **{"overlay.kind": "complete"})
    assert [s.slice for s in membership.agreement().links("anna")["bert"]] == ["encoder.image", "redundant-head"]
    membership.take(hello("bert", width=8))
    assert [s.slice for s in membership.agreement().links("anna")["bert"]] == ["redundant-head"]
    membership.take(hello("bert"))
    assert [s.slice for s in membership.agreement().links("anna")["bert"]] == ["encoder.image", "redundant-head"]


@pytest.mark.parametrize("name", ["encoder.image", "encoder.image\0" + "0" * 64])
def test_an_agent_that_offers_a_slice_twice_or_under_two_names_is_refused(name: str) -> None:
    hostile = hello("carl")
    hostile.slices.append(manifest(name, 4, 4))
    membership = members("bert", **{"overlay.kind": "complete"})
    with pytest.raises(UnfitError, match="carl offers 3 slices, one of them twice"):
        membership.take(hostile)
    links = membership.agreement().links("anna")
    assert {n: [s.slice for s in slices] for n, slices in links.items()} == {"bert": ["encoder.image", "redundant-head"]}


def test_agents_of_another_width_mix_what_they_have_in_common(tmp_path: Path) -> None:
    settings = {"local-steps": 1, "overlay.kind": "complete"}
    configs = {name: agent_config(tmp_path, "dsgd-hybrid", {**settings, "model.width": w}) for name, w in (("a", 16), ("b", 32))}
    ours = [agent(config, name, BOTH) for name, config in configs.items()]
    hood = Neighbourhood(ours, configs["a"])
    assert len(hood.agreement.mismatches) == 2
    for mismatch, modality in zip(hood.agreement.mismatches.values(), BOTH, strict=True):
        assert mismatch.startswith(f"slice encoder.{modality}: ")
        assert {"a", "b"} == {part.strip()[0] for part in mismatch.removeprefix(f"slice encoder.{modality}: ").split("; ")}
    heard = hood.round(1).heard
    assert {h.outcome for of in heard.values() for h in of} == {TAKEN}
    assert [s.slice for s in hood.agreement.links("a")["b"]] == ["head.image+tone"]
    one, other = (values_by_slice(each.config, each.model)["head.image+tone"] for each in ours)
    assert (one == other).all()  # two agents, each with half the weight


def test_agents_of_other_kinds_agree_whatever_the_order(tmp_path: Path) -> None:
    config = agent_config(tmp_path)
    offers = {"a": agent(config, "a", BOTH).offer, "b": agent(config, "b", IMAGE).offer, "c": agent(config, "c", BOTH).offer}
    assert agree(offers, config) == agree(dict(reversed(offers.items())), config)
    links = agree(offers, config).links("a")
    assert links_from_wire(links_to_wire(links)) == links
    assert encode(pb.Instruction(links=links_to_wire(links)))


# Catching up.


def test_rounds_that_an_agent_leaves_out_are_nobodys_silence() -> None:
    membership = members("bert", "carl", "dora")
    membership.enter(2)
    membership.hear(update("carl", 2))
    membership.enter(2 + PATIENCE)
    assert membership.present() == {"carl"}
    membership.skip_to(50)
    assert membership.present() == {"carl"}
    assert membership.heard() == {"anna": 50, "bert": 1, "carl": 50 - PATIENCE, "dora": 1}
    membership.enter(51)
    assert membership.present() == frozenset()


@pytest.mark.parametrize(
    ("rounds", "wanted"), [([], 0), ([7], 7), ([3, 9], 3), ([3, 9, 9], 9), ([3, 3, 9], 3), ([1, 5, 6, 2**32 - 1], 5)]
)
def test_the_round_of_most_neighbours(rounds: list[int], wanted: int) -> None:
    assert majority_round({f"agent-{i}": number for i, number in enumerate(rounds)}) == wanted


@given(st.lists(st.integers(0, 100), min_size=1, max_size=9))
def test_at_least_half_of_the_neighbours_are_in_it_or_beyond_and_few_liars_move_nobody(rounds: list[int]) -> None:
    found = majority_round(dict(enumerate(rounds)))  # type: ignore[arg-type]
    assert found in rounds
    assert 2 * sum(number >= found for number in rounds) > len(rounds)
    liars = (len(rounds) - 1) // 2  # fewer than half
    lied = sorted(rounds)[: len(rounds) - liars] + [10**9] * liars
    assert majority_round(dict(enumerate(lied))) <= max(rounds)  # type: ignore[arg-type]


@given(st.integers(2, 9), st.data())
def test_where_the_others_say_nothing_half_of_the_neighbours_or_fewer_move_nobody(neighbours: int, data: st.DataObject) -> None:
    liars = data.draw(st.integers(0, neighbours // 2))
    assert majority_round(dict(enumerate([7] * (neighbours - liars) + [10**9] * liars))) == 7  # type: ignore[arg-type]
