"""The loop of an agent among others that lie, die, are slow or far ahead."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from loopback import LOOPBACK, TIMEOUT, Hall, calling, serving, slow_port
from tiny_agents import BOTH, IMAGE, agent, agent_config

from client_app.agents.agent import Agent
from client_app.store import NodeStore
from concord.config import RunConfig
from concord.processes import free_port
from concord.run_folder import Line, RunFolder
from concord.wire.messages import SCHEMA_VERSION
from concord.wire.v1 import federation_pb2 as pb
from peer_app.membership import Membership
from peer_app.neighbours import Answer, Neighbours, Reason
from peer_app.peer import Peer
from peer_app.service import AgentServer
from peer_app.tls import Identity

Identities = dict[str, Identity]

pytestmark = pytest.mark.timeout(60)


def tiny(folder: Path, rounds: int, **settings: str | int) -> RunConfig:
    return agent_config(folder, "dsgd-modality", {"local-steps": 1, "rounds": rounds, **settings})


@contextmanager
def living(
    identity: Identity, own: Agent, folder: Path, others: dict[str, int], patience: float, port: int = 0, start: float = 0.0
) -> Iterator[Peer]:
    """An agent that can be called, and knows the ports of others."""
    folder.mkdir(parents=True, exist_ok=True)
    with calling(identity, 1 << 22, **others) as neighbours:
        peer = Peer(own, Membership(own.hello(), others, own.config), neighbours, RunFolder(folder), start, patience)
        with AgentServer(f"{LOOPBACK}:{port}", identity, peer):
            yield peer


def run_all(peers: Sequence[Peer]) -> None:
    threads = [threading.Thread(target=peer.run) for peer in peers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def lines(peer: Peer, scope: str) -> list[Line]:
    return [line for line in peer.folder.read_metrics() if line["scope"] == scope]


class Liar(Hall):
    """Introduces itself as an agent should, and says that it is far ahead."""

    def __init__(self, own: Agent) -> None:
        super().__init__(own.name)
        self.own = own

    def greet(self, hello: pb.Hello) -> pb.Hello:
        return self.own.hello()

    def deliver(self, update: pb.SliceUpdate) -> pb.Receipt:
        return pb.Receipt(schema_version=SCHEMA_VERSION, verdict=pb.VERDICT_LATE, round=2**31)


def test_one_that_has_caught_up_exchanges_at_once_and_counts_nobody_as_gone(ours: Identities, tmp_path: Path) -> None:
    config = tiny(tmp_path, 24)
    ports = {name: free_port() for name in ("anna", "bert")}
    with ExitStack() as stack:
        peers = []
        for name, other in (("anna", "bert"), ("bert", "anna")):
            own = agent(config, name, IMAGE)
            own.skip_to(20 if name == "anna" else 0)
            there = living(ours[name], own, tmp_path / name, {other: ports[other]}, TIMEOUT, ports[name])
            peers.append(stack.enter_context(there))
        for peer in peers:
            peer.find_others(TIMEOUT)
        begin = time.monotonic()
        run_all(peers)
        assert time.monotonic() - begin < TIMEOUT, "nobody waited in vain"
        for peer in peers:
            assert [line["received"] for line in lines(peer, "link")][-4:] == ["taken"] * 4
            assert "gone" not in {line["event"] for line in lines(peer, "member")}
        assert "caught up" in {line["event"] for line in lines(peers[1], "member")}


def test_who_is_waited_for_is_told_once(ours: Identities, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("peer_app.peer.GREET_SECONDS", 0.1)
    names = [f"ward-{number}" for number in range(7)]
    with living(ours["anna"], agent(tiny(tmp_path, 1), "anna", IMAGE), tmp_path, dict.fromkeys(names, free_port()), 1.0) as peer:
        peer.find_others(1.0)
    told = [line["detail"] for line in lines(peer, "member") if line["event"] == "waits"]
    assert told == ["for ward-0, ward-1, ward-2, ward-3, ward-4 and 2 more, 1 s at most"]


def test_one_liar_makes_nobody_skip_its_training(ours: Identities, tmp_path: Path) -> None:
    config = tiny(tmp_path, 20, **{"overlay.kind": "ring"})
    liar = Liar(agent(config, "bert", IMAGE))
    with (
        serving(ours["bert"], liar) as server,
        living(ours["anna"], agent(config, "anna", IMAGE), tmp_path, {"bert": server.port, "carl": free_port()}, 0.3) as peer,
    ):
        peer.membership.take(agent(config, "carl", IMAGE).hello())  # who was there, and is dead now
        peer.run()
    trained = [line["round"] for line in lines(peer, "round")]
    patience = config.overlay.patience
    assert trained[: patience + 1] == list(range(1, patience + 2)), "of two neighbours, one alone is not believed"
    assert max(later - earlier for earlier, later in pairwise(trained)) <= patience + 1
    assert trained[-1] == 20
    assert {line["bytes-up"] for line in lines(peer, "link") if line["neighbour"] == "carl"} == {0}
    assert all(line["bytes-up"] > 0 for line in lines(peer, "link") if line["neighbour"] == "bert")


def test_one_that_speaks_of_old_rounds_is_waited_for_less_and_less(ours: Identities, tmp_path: Path) -> None:
    rounds, patience = 10, 1.0
    config = tiny(tmp_path, rounds)

    class Behind(Liar):
        def deliver(self, update: pb.SliceUpdate) -> pb.Receipt:
            old = pb.SliceUpdate(schema_version=SCHEMA_VERSION, agent="bert", round=0)
            assert back.deliver("anna", old, TIMEOUT).message
            return pb.Receipt(schema_version=SCHEMA_VERSION, verdict=pb.VERDICT_TAKEN, round=1)

    port = free_port()
    with (
        calling(ours["bert"], anna=port) as back,
        serving(ours["bert"], Behind(agent(config, "bert", IMAGE))) as server,
        living(ours["anna"], agent(config, "anna", IMAGE), tmp_path, {"bert": server.port}, patience, port) as peer,
    ):
        begin = time.monotonic()
        peer.run()
        assert time.monotonic() - begin < rounds * patience / 2
    assert [line["received"] for line in lines(peer, "link")] == ["silent"] * rounds


def test_the_last_word_arrives_over_a_slow_uplink_and_is_told(
    ours: Identities, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("peer_app.peer.SHORT_PATIENCE", 0.01)
    config = tiny(tmp_path, 1)
    anna, bert = (agent(config, name, IMAGE) for name in ("anna", "bert"))
    got: list[int] = []

    class Taking(Liar):
        def deliver(self, update: pb.SliceUpdate) -> pb.Receipt:
            got.append(update.round)
            return pb.Receipt(schema_version=SCHEMA_VERSION, verdict=pb.VERDICT_TAKEN, round=1)

    with (
        serving(ours["bert"], Taking(bert), message_bytes=1 << 22) as server,
        slow_port(server.port, 0.2) as slow,
        living(ours["anna"], anna, tmp_path / "anna", {"bert": slow}, TIMEOUT) as peer,
    ):
        peer.greet(bert.hello())
        bert.train(1, peer.membership.agreement().links("bert"))
        peer.deliver(bert.updates()["anna"])
        peer.run()
        assert got == [1]
    (link,), (delivery,) = lines(peer, "link"), lines(peer, "delivery")
    assert (link["received"], link["sent"], link["bytes-up"]) == ("taken", "under way", 0)
    assert (delivery["round"], delivery["neighbour"], delivery["sent"]) == (1, "bert", "taken")
    assert delivery["bytes-up"] > 100_000


def test_a_round_that_was_cut_short_while_it_was_evaluated_is_in_the_log(ours: Identities, tmp_path: Path) -> None:
    config, folder = tiny(tmp_path, 4), RunFolder(tmp_path / "anna")
    folder.path.mkdir()

    def lives(dies_in: int) -> list[int]:
        own = agent(config, "anna", BOTH, NodeStore(folder.path / "state").rounds("0" * 32))
        folder.truncate_metrics(own.round_ - own.trained if own.load() else 0)
        evaluate = own.evaluate

        def cut_short() -> list[pb.Evaluation]:
            if own.round_ == dies_in:
                raise KeyboardInterrupt
            return evaluate()

        own.evaluate = cut_short  # type: ignore[method-assign]
        with Neighbours(ours["anna"]) as neighbours:
            Peer(own, Membership(own.hello(), [], config), neighbours, folder, 0.0, 1.0).run()
        return [line["round"] for line in folder.read_metrics() if line["scope"] == "round"]

    with pytest.raises(KeyboardInterrupt):
        lives(dies_in=2)
    assert lives(dies_in=0) == [1, 2, 3, 4]


def test_who_does_not_fit_is_told_once_at_both_ends_and_in_the_figures(ours: Identities, tmp_path: Path) -> None:
    configs = {"anna": tiny(tmp_path, 3), "bert": tiny(tmp_path, 2)}
    ports = {name: free_port() for name in configs}
    with ExitStack() as stack:
        peers = {}
        for name, other in (("anna", "bert"), ("bert", "anna")):
            own = agent(configs[name], name, IMAGE)
            there = living(ours[name], own, tmp_path / name, {other: ports[other]}, 0.2, ports[name])
            peers[name] = stack.enter_context(there)
        run_all(list(peers.values()))
    for own, other in (("anna", "bert"), ("bert", "anna")):
        told = [line for line in lines(peers[own], "member") if line["agent"] == other]
        assert {line["event"] for line in told} == {"refused"}, told
        rounds = {name: config.rounds for name, config in configs.items()}
        own_view = f"{other} was told of another run than {own}: rounds ('{rounds[other]}' there, '{rounds[own]}' here)"
        assert sum(line["detail"].startswith(own_view) for line in told) == 1
        assert len({line["detail"] for line in told}) == len(told) <= 2, "what it said itself, and what it was told"


def test_one_that_is_not_reached_is_told_once(ours: Identities, tmp_path: Path) -> None:
    own = agent(tiny(tmp_path, 2), "anna", IMAGE)
    with living(ours["anna"], own, tmp_path, {"bert": free_port()}, 0.1) as peer:
        for _ in range(3):
            peer._greet("bert", 0.3)
        (line,) = lines(peer, "member")
    assert (line["agent"], line["event"]) == ("bert", "unreachable")
    assert "Connection refused" in line["detail"]


def test_who_is_gone_keeps_nobody_from_a_greeting(tmp_path: Path) -> None:
    gone = {f"gone-{number}": "" for number in range(40)}
    config = tiny(tmp_path, 2)
    there, released = threading.Event(), threading.Event()

    class Calls:
        def greet(self, name: str, hello: pb.Hello, seconds: float) -> Answer[pb.Hello]:
            there.set() if name == "bert" else released.wait(TIMEOUT)
            return Answer(None, Reason.UNREACHABLE, "")

    own = agent(config, "anna", IMAGE)
    membership = Membership(own.hello(), ["bert", *gone], config)
    membership.take(agent(config, "bert", IMAGE).hello())
    peer = Peer(own, membership, Calls(), RunFolder(tmp_path), 0.0, 1.0)  # type: ignore[arg-type]
    for name in (*gone, "bert"):
        peer._greet_soon(name)
    assert there.wait(TIMEOUT / 2)
    peer._closing = True
    released.set()
    for pool in (peer._greeters, peer._seekers):
        pool.shutdown()


def test_an_update_that_no_link_carries_is_refused_and_told(ours: Identities, tmp_path: Path) -> None:
    config = tiny(tmp_path, 2, **{"overlay.budget": 3000})
    anna, bert = (agent(config, name, IMAGE) for name in ("anna", "bert"))
    with living(ours["anna"], anna, tmp_path, {"bert": free_port()}, 0.1) as peer:
        peer.greet(bert.hello())
        bert.train(1, peer.membership.agreement().links("bert"))
        said = bert.updates(peer.membership.heard())["anna"]
        assert peer.deliver(said).verdict == pb.VERDICT_TAKEN
        said.heard.update({f"nobody-{number}": 1 for number in range(200)})
        assert peer.deliver(said).verdict == pb.VERDICT_MALFORMED
        assert [line["event"] for line in lines(peer, "member")] == ["there", "refused"]


def test_one_that_is_behind_and_goes_on_is_waited_for_again(ours: Identities, tmp_path: Path) -> None:
    config = tiny(tmp_path, 9)
    anna, bert = (agent(config, name, IMAGE) for name in ("anna", "bert"))
    anna.skip_to(6)
    waits: list[float] = []
    with living(ours["anna"], anna, tmp_path, {"bert": free_port()}, 0.2) as peer:
        peer.greet(bert.hello())
        for said in (None, 2, 2):  # what bert says before each of the rounds 7 to 9
            if said is not None:
                late = pb.SliceUpdate(schema_version=SCHEMA_VERSION, agent="bert", round=said)
                assert peer.deliver(late).verdict == pb.VERDICT_LATE
            waits.append(peer._patience_with("bert"))
            peer.round()
    assert waits == [0.2, 0.2, 0.1]


@pytest.mark.parametrize("width", [16, 32])
def test_a_peer_tells_once_what_is_not_exchanged(width: int, ours: dict[str, Identity], tmp_path: Path) -> None:
    config = agent_config(tmp_path, "dsgd-modality", {"local-steps": 1, "rounds": 2})
    another = agent_config(tmp_path, "dsgd-modality", {"model.width": width, "rounds": 2})
    anna, bert = agent(config, "anna", IMAGE), agent(another, "bert", IMAGE)
    membership = Membership(anna.hello(), ["bert"], config)
    membership.take(bert.hello())
    with Neighbours(ours["anna"]) as neighbours:
        peer = Peer(anna, membership, neighbours, RunFolder(tmp_path), 0.0, 0.05)
        peer.run()
    log = peer.folder.read_metrics()
    assert [line["round"] for line in log if line["scope"] == "round"] == [1, 2]
    told = [line["detail"] for line in log if line.get("event") == "mismatch"]
    assert [text.partition(": ")[0] for text in told] == ([] if width == 16 else ["slice encoder.image"])
