"""Agents as real processes: killed, stopped, cut off, gone for good, and called by those who mean no good."""

from __future__ import annotations

import json
import math
import signal
from pathlib import Path

import pytest
from local_agents import LocalAgents, local_agents, went_on_after
from relays import relays

from benchmarks.federation import wait_until
from client_app.agents.agent import Agent
from client_app.data.node_folder import load_node
from client_app.node import choose_device
from concord import keys, load_model
from concord.wire.messages import SCHEMA_VERSION
from concord.wire.v1 import federation_pb2 as pb
from peer_app.config import read_peer_config
from peer_app.neighbours import Neighbours, Reason
from peer_app.tls import read_identity

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]

KILLED, STOPPED, STAYS = "image-forms-a", "image-forms-b", "image-forms-c"
GONE = ("tone-north", "tone-south")
NAMES = (KILLED, STOPPED, STAYS, "word-west-europe", *GONE)
PATIENCE = 240.0  # of the test, on a machine that others use too


def reached(agents: LocalAgents, round_: int, *names: str) -> None:
    assert wait_until(lambda: all(agents.round(name) >= round_ for name in names), PATIENCE), {n: agents.log(n) for n in names}


def ended(agents: LocalAgents, *names: str) -> None:
    for name in names:
        assert wait_until(lambda name=name: agents.running[name].poll() is not None, PATIENCE), agents.log(name)  # type: ignore[misc]
        assert agents.running[name].returncode == 0, agents.log(name)


def events(agents: LocalAgents, name: str, about: str) -> list[str]:
    return [line["event"] for line in agents.lines(name, "member") if line["agent"] == about]


def test_nobody_hangs_or_ends_because_of_another(tmp_path: Path) -> None:
    rounds = 30
    with local_agents(tmp_path, NAMES, {"rounds": rounds, "local-steps": 40}, patience=2.0) as agents:
        agents.start(*NAMES)
        reached(agents, 2, *NAMES)
        for name in GONE:  # a third of all, for good
            agents.signal(name, signal.SIGKILL)
        agents.signal(STOPPED, signal.SIGSTOP)  # it takes connections and says nothing
        agents.signal(KILLED, signal.SIGKILL)
        agents.running[KILLED].wait()
        before = agents.round(KILLED)
        agents.start(KILLED)
        assert wait_until(lambda: "gone" in events(agents, STAYS, STOPPED), PATIENCE), agents.log(STAYS)
        agents.signal(STOPPED, signal.SIGCONT)
        left = [name for name in NAMES if name not in GONE]
        ended(agents, *left)

        for name in left:
            result = json.loads((tmp_path / "runs" / name / "result.json").read_text())
            assert result["accuracy"]["unseen"], name
            assert agents.round(name) == rounds
            assert load_model(tmp_path / "runs" / name).modalities == tuple(result["modalities"])
        after = went_on_after(agents.lines(KILLED, "run"))
        assert after in (before, before - 1)  # less one: killed between a round's lines and its checkpoint, it mixes it again
        done = [line["round"] for line in agents.lines(KILLED, "round")]
        assert done == sorted(set(done))
        assert done[:after] == list(range(1, after + 1))
        taken = {
            line["neighbour"] for line in agents.lines(KILLED, "link") if line["round"] > after and line["received"] == "taken"
        }
        assert STAYS in taken, "it exchanges again with those who went on"
        assert events(agents, STAYS, STOPPED)[-1] != "gone", agents.log(STAYS)
        heard = [line["received"] for line in agents.lines(STAYS, "link") if line["neighbour"] == STOPPED]
        assert "silent" in heard
        assert heard[-1] == "taken" or "caught up" in events(agents, STOPPED, STOPPED)
        for name in ("word-west-europe", STAYS):
            assert {agent for agent in GONE if "gone" in events(agents, name, agent)} == set(GONE)


def test_halves_that_are_cut_off_from_each_other_go_on_and_come_together_again(tmp_path: Path) -> None:
    halves = (KILLED, STOPPED, GONE[0]), (STAYS, GONE[1])  # images with each other, tones with each other
    others = {name: halves[1 - i] for i, half in enumerate(halves) for name in half}
    kin = {name: {other for other in others if other != name and other[:4] == name[:4]} for name in others}
    with (
        local_agents(tmp_path, sorted(others), {"rounds": 40, "local-steps": 40}, patience=2.0) as agents,
        relays(agents.addresses) as between,
    ):
        for name, across in others.items():
            said = agents.file(name).read_text()
            for other in across:
                said = said.replace(f'{other} = "{agents.addresses[other]}"', f'{other} = "{between[other].address}"')
            agents.file(name).write_text(said)
        agents.start(*others)
        reached(agents, 3, *others)
        for relay in between.values():
            relay.cut()

        def apart(name: str) -> bool:
            return all("gone" in events(agents, name, other) for other in others[name])

        assert wait_until(lambda: all(map(apart, others)), PATIENCE), agents.log(STAYS)
        parted = {name: agents.round(name) for name in others}
        reached(agents, max(parted.values()) + 4, *others)  # each half goes on by itself
        for relay in between.values():
            relay.heal()
        healed = {name: agents.round(name) for name in others}
        ended(agents, *others)
        for name, across in others.items():
            links = agents.lines(name, "link")
            alone = [line for line in links if parted[name] < line["round"] <= healed[name]]
            assert {line["received"] for line in alone if line["neighbour"] in across} <= {"silent"}, name
            mates = kin[name] - set(across)
            assert mates <= {line["neighbour"] for line in alone if line["received"] == "taken"}, name
            again = {line["neighbour"] for line in links if line["round"] > healed[name] and line["received"] == "taken"}
            assert again == kin[name], (name, healed)


def test_strangers_and_liars_are_refused_and_the_others_go_on(tmp_path: Path) -> None:
    names, liar = (KILLED, STOPPED), STAYS
    with local_agents(tmp_path / "ours", (*names, liar), {"rounds": 30}, patience=10.0) as agents:
        for name in names:
            agents.file(name).write_text(agents.file(name).read_text().replace("start-patience = 60.0", "start-patience = 10.0"))
        agents.start(*names)
        said, run = read_peer_config(agents.file(liar))
        data, anchors = load_node(said.agent.data, run, pooled=False)
        hello = Agent(run, data, anchors, choose_device("cpu")).hello()
        address = agents.addresses[names[0]]

        keys.make_authority(tmp_path / "theirs" / "ca")
        keys.make_peer(tmp_path / "theirs" / liar, tmp_path / "theirs" / "ca", ["127.0.0.1"])
        with Neighbours(read_identity(tmp_path / "theirs" / liar)) as stranger:
            stranger.know({names[0]: address})
            answer = stranger.greet(names[0], hello, 20.0)
            assert answer.reason in (Reason.UNREACHABLE, Reason.DEADLINE), answer  # the handshake fails

        with Neighbours(read_identity(agents.folder / "keys" / liar)) as caller:
            caller.know({names[0]: address})
            for change, word in (
                ({"anchor_digest": "0" * 64}, "anchors"),
                ({"concepts": ["other", *hello.concepts[1:]]}, "label space"),
                ({"settings": {**hello.settings, "rounds": "7"}}, "rounds ('7' there, '30' here)"),
                ({"app_version": "0.0"}, "install the same version"),
                ({"agent": names[1]}, "spoke for"),
            ):
                other = pb.Hello(schema_version=SCHEMA_VERSION)
                for key in ("app_version", "agent", "anchor_digest"):
                    setattr(other, key, change.get(key, getattr(hello, key)))
                other.settings.update(change.get("settings", hello.settings))
                other.concepts.extend(change.get("concepts", hello.concepts))
                other.slices.extend(hello.slices)
                answer = caller.greet(names[0], other, 20.0)
                assert answer.reason is Reason.REFUSED, answer
                assert word in answer.detail
            assert caller.greet(names[0], hello, 20.0).message is not None, "one that tells the truth is let in"
            for pieces in (
                [pb.Piece(slice="encoder.image", values=b"\xff" * 1000)],
                [pb.Piece(slice="encoder.image", values=b"\xff" * 4 * sum_of("encoder.image", hello))],  # not numbers
                [pb.Piece(slice="encoder.image", begin=1 << 60)],
            ):
                now = agents.round(names[0])
                for round_ in range(now + 1, now + 4):
                    update = pb.SliceUpdate(schema_version=SCHEMA_VERSION, agent=liar, round=round_, pieces=pieces)
                    assert caller.deliver(names[0], update, 20.0).message is not None
            huge = pb.SliceUpdate(schema_version=SCHEMA_VERSION, agent=liar, round=1, pieces=[pb.Piece(values=bytes(65 << 20))])
            assert caller.deliver(names[0], huge, 20.0).reason is Reason.SIZE
        ended(agents, *names)
        taken = [line["received"] for line in agents.lines(names[0], "link") if line["neighbour"] == names[1]]
        assert taken[-10:] == ["taken"] * 10
        refused = {line["received"] for line in agents.lines(names[0], "link") if line["neighbour"] == liar}
        assert any("not what the link carries" in reason for reason in refused), refused
        assert "Traceback" not in agents.log(names[0])


def sum_of(name: str, hello: pb.Hello) -> int:
    """Values of a slice."""
    return sum(math.prod(spec.shape) for m in hello.slices if m.group == name for spec in m.tensors)
