"""`docker compose --profile p2p up`: five agents and no server; one is killed while they train, and all reach the end."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from compose_project import ROOT, UP_SECONDS, Project, engine
from local_agents import went_on_after
from tiny_run import lines

from benchmarks.federation import wait_until
from concord import keys

AGENTS = {
    "image-forms-a": "image",
    "image-forms-b": "image",
    "tone-north": "tone",
    "tone-south": "tone",
    "word-west-europe": "word",
}
KILLED = "image-forms-a"
ROUNDS = 6
RUN_SECONDS = 900

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not engine(), reason="no Docker engine answers"),
    pytest.mark.timeout(UP_SECONDS + 2 * RUN_SECONDS),
]


class Agents(Project):
    """The profile with a shorter run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        text = (ROOT / "deploy" / "p2p" / "peer.toml").read_text()
        assert "rounds = 12\n" in text
        (folder / "peer.toml").write_text(text.replace("rounds = 12\n", f"rounds = {ROUNDS}\n"))
        (folder / "peer.toml").chmod(0o644)
        super().__init__("concord-test-p2p", {"CONCORD_PEER": str(folder / "peer.toml")}, ["--profile", "p2p"])

    def run(self, agent: str) -> Path:
        """A copy of an agent's run folder as it is now."""
        target = self.folder / "runs" / agent
        target.mkdir(parents=True, exist_ok=True)
        self("cp", f"{agent}:/runs/p2p/.", str(target))
        return target

    def rounds(self, agent: str) -> list[int]:
        """The rounds that a running agent has done, without one that is written just now."""
        told = self("exec", "-T", agent, "sh", "-c", "cat /runs/p2p/metrics.jsonl 2>/dev/null || true")
        whole = [json.loads(line) for line in told.splitlines(keepends=True) if line.endswith("\n")]
        return [line["round"] for line in whole if line["scope"] == "round"]

    def state(self, agent: str) -> dict[str, Any]:
        state: dict[str, Any] = self.containers()[agent]["State"]
        return state


@pytest.fixture(scope="module")
def agents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agents]:
    """All agents at their end; KILLED was killed after its first round."""
    project = Agents(tmp_path_factory.mktemp("p2p"))
    try:
        project("up", "--detach", "--build")
        assert wait_until(lambda: bool(project.rounds(KILLED)), RUN_SECONDS, pause=0.5), project("logs", "--tail", "30")
        # Everything in the container but its init, which then ends too. Unlike `docker kill`, nobody asked for that.
        kill = ["docker", "exec", project.containers()[KILLED]["Id"], "sh", "-c", "kill -KILL -1"]
        subprocess.run(kill, capture_output=True, check=False)
        assert wait_until(lambda: project.containers()[KILLED]["RestartCount"] == 1, RUN_SECONDS, pause=0.5)
        assert wait_until(
            lambda: all(project.containers()[agent]["State"]["Status"] == "exited" for agent in AGENTS), RUN_SECONDS, pause=2
        ), project("logs", "--tail", "30")
        yield project
    finally:
        project("down", "--volumes")


def test_only_agents_and_their_setups_were_started(agents: Agents) -> None:
    assert agents.containers().keys() == {"setup-agents", *AGENTS, *(f"setup-{agent}" for agent in AGENTS)}


@pytest.mark.parametrize("agent", AGENTS)
def test_an_agent_reached_its_end_with_figures_of_its_modality(agents: Agents, agent: str) -> None:
    container = agents.containers()[agent]
    assert container["State"]["ExitCode"] == 0, agents("logs", agent)
    assert container["RestartCount"] == (1 if agent == KILLED else 0), "one that is done is not started again"
    result = json.loads((agents.run(agent) / "result.json").read_text())
    assert (result["agent"], result["modalities"], result["rounds"]) == (agent, [AGENTS[agent]], ROUNDS)
    assert set(result["accuracy"]) >= {"random", "unseen"}
    done = [line["round"] for line in lines(agents.run(agent), "round")]
    assert done[-1] == ROUNDS
    assert agent == KILLED or done == list(range(1, ROUNDS + 1))
    taken = {line["neighbour"] for line in lines(agents.run(agent), "link") if line["received"] == "taken"}
    assert taken == AGENTS.keys() - {agent}, "of five agents each is the neighbour of all others"


def test_the_agent_that_was_killed_went_on_where_it_was(agents: Agents) -> None:
    folder = agents.run(KILLED)
    after = went_on_after(lines(folder, "run"))
    done = [line["round"] for line in lines(folder, "round")]
    assert done == sorted(set(done))
    assert done[:after] == list(range(1, after + 1))
    later = [line for line in lines(folder, "link") if line["round"] > after and line["received"] == "taken"]
    assert later, "it exchanges again with those who went on"


def test_containers_have_no_more_rights_than_they_need(agents: Agents) -> None:
    for service, container in agents.containers().items():
        host = container["HostConfig"]
        assert host["ReadonlyRootfs"], service
        assert host["CapDrop"] == ["ALL"], service
        assert host["CapAdd"] is None, service
        assert "no-new-privileges:true" in host["SecurityOpt"], service
        assert container["Config"]["User"] == "concord", service
        assert not host["PortBindings"], service
        assert host["NetworkMode"] == (f"{agents.name}_agents" if service in AGENTS else "none"), service
        assert "FLWR_TELEMETRY_ENABLED=0" in container["Config"]["Env"], service


def test_an_agent_has_its_own_key_and_not_that_of_the_authority(agents: Agents) -> None:
    for agent in AGENTS:
        mounted = {mount["Destination"]: mount for mount in agents.containers()[agent]["Mounts"]}
        assert mounted.keys() == {"/keys", "/data", "/runs", "/etc/concord/peer.toml"}
        assert {folder for folder, mount in mounted.items() if mount["RW"]} == {"/runs"}
        target = agents.folder / "keys" / agent
        target.mkdir(parents=True)
        agents("cp", f"{agent}:/keys/.", str(target))
        assert {path.name for path in target.iterdir()} == {keys.CA_CERTIFICATE, keys.PEER_CERTIFICATE, keys.PEER_KEY}
