"""docker-compose.yml as it is written, without an engine: who holds which key, what can be made again."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped,unused-ignore]

from client_app.data.demo import DEMO
from concord import keys
from peer_app.config import read_peer_config

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "deploy" / "README.md").read_text()
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
EXECUTORS = sorted(name for name, service in SERVICES.items() if "flower-superexec" in service["command"])
AGENTS = sorted(name for name, service in SERVICES.items() if service["command"][:2] == ["concord", "peer"])
AGENTS_AUTHORITY = "setup-agents"
AGENTS_SETUPS = sorted(f"setup-{name}" for name in AGENTS)
SETUPS = sorted(name for name in SERVICES if name.startswith("setup") and name not in {AGENTS_AUTHORITY, *AGENTS_SETUPS})
PRIVATE = {"authority", "agents-authority", *(name for name in COMPOSE["volumes"] if name.endswith("-keys"))}


def mounts(service: str) -> dict[str, tuple[str, bool]]:
    """Volume, and whether it can be written to, by folder."""
    found = {}
    for entry in SERVICES[service].get("volumes", []):
        volume, folder, *mode = entry.rsplit(":", 2) if entry.endswith(":ro") else entry.rsplit(":", 1)
        found[folder] = (volume, not mode)
    return found


def script(service: str) -> list[list[str]]:
    """The commands of a setup service."""
    (text,) = SERVICES[service]["command"]
    return [shlex.split(line) for line in text.splitlines()]


def fillers(volume: str) -> list[tuple[str, str]]:
    """Setup services that may write to `volume`, and where they have it."""
    return [(name, folder) for name in SETUPS for folder, mounted in mounts(name).items() if mounted == (volume, True)]


def test_there_is_something_to_test() -> None:
    assert EXECUTORS == ["clientapp-image", "clientapp-tone", "clientapp-word", "serverapp"]
    assert SETUPS == ["setup", "setup-image", "setup-tone", "setup-word"]
    assert AGENTS == ["image-forms-a", "image-forms-b", "tone-north", "tone-south", "word-west-europe"]
    federation = {"authority", "image-keys", "superlink-keys", "tone-keys", "word-keys"}
    assert federation | {"agents-authority", *(f"{agent}-keys" for agent in AGENTS)} == PRIVATE


@pytest.mark.parametrize("executor", EXECUTORS)
def test_an_executor_gets_no_key_but_that_of_its_link(executor: str) -> None:
    certificate = keys.CA_CERTIFICATE if executor == "serverapp" else keys.LINK_CERTIFICATE
    mounted = mounts(executor)
    volume, writable = mounted["/keys"]
    assert not writable
    assert not PRIVATE & {volume for volume, _ in mounted.values()}
    ((setup, folder),) = fillers(volume)
    into = [words for words in script(setup) if folder in words]
    assert into == [["install", "-C", "-m", "0600", f"/keys/{certificate}", f"/keys/{keys.SECRET}", folder]]
    flags = [word for word in SERVICES[executor]["command"] if "/keys/" in word]
    assert flags == [f"--root-certificates=/keys/{certificate}", f"--superexec-auth-secret-file=/keys/{keys.SECRET}"]


def test_no_two_services_share_a_volume_of_keys_but_a_program_and_its_setup() -> None:
    holders = {
        volume: {name for name in SERVICES for mounted in mounts(name).values() if mounted[0] == volume} for volume in PRIVATE
    }
    assert holders == {
        "authority": {"setup"},
        "superlink-keys": {"setup", "superlink"},
        **{f"{node}-keys": {f"setup-{node}", f"supernode-{node}"} for node in ("image", "tone", "word")},
        "agents-authority": {AGENTS_AUTHORITY, *AGENTS_SETUPS},
        **{f"{agent}-keys": {f"setup-{agent}", agent} for agent in AGENTS},
    }


def test_each_service_is_of_one_profile_and_the_federation_is_the_one_that_starts_without_a_word() -> None:
    p2p = {AGENTS_AUTHORITY, *AGENTS_SETUPS, *AGENTS}
    for name, service in SERVICES.items():
        assert service["profiles"] == (["p2p"] if name in p2p else ["federation"]), name
        assert set(service.get("depends_on", {})) <= (p2p if name in p2p else SERVICES.keys() - p2p), name
    assert "COMPOSE_PROFILES=federation" in (ROOT / ".env").read_text().splitlines()


@pytest.mark.parametrize("agent", AGENTS)
def test_an_agent_has_keys_data_and_a_run_folder_of_its_own_and_can_write_to_the_last_alone(agent: str) -> None:
    assert mounts(agent) == {
        "/keys": (f"{agent}-keys", False),
        "/data": (f"{agent}-data", False),
        "/runs": (f"{agent}-run", True),
    }
    assert mounts(f"setup-{agent}") == {
        "/authority": ("agents-authority", False),
        "/keys": (f"{agent}-keys", True),
        "/data": (f"{agent}-data", True),
    }
    assert SERVICES[f"setup-{agent}"]["environment"]["AGENT"] == agent


def test_agents_reach_each_other_and_nobody_else() -> None:
    assert COMPOSE["networks"]["agents"] == {"internal": True}
    for name, service in SERVICES.items():
        assert ("agents" in service.get("networks", ())) == (name in AGENTS), name
    for name in AGENTS:
        assert SERVICES[name]["networks"] == ["agents"]
        assert SERVICES[name]["restart"] == "on-failure"  # not after exit status 0
        assert "ports" not in SERVICES[name]
    for name in (AGENTS_AUTHORITY, *AGENTS_SETUPS):
        assert SERVICES[name]["network_mode"] == "none"


def test_no_service_of_agents_has_more_rights_than_the_others() -> None:
    for name in (AGENTS_AUTHORITY, *AGENTS_SETUPS, *AGENTS):
        service = SERVICES[name]
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not {"user", "cap_add", "privileged", "devices"} & service.keys(), name


def test_the_file_of_the_agents_names_them_and_the_paths_of_their_containers() -> None:
    said, run = read_peer_config(ROOT / "deploy" / "p2p" / "peer.toml")
    assert said.others == {agent: f"{agent}:{said.agent.listen.rsplit(':', 1)[1]}" for agent in AGENTS}
    dealt = script(AGENTS_SETUPS[0])[-1]
    assert dealt == ["concord", "data", "deal", str(said.agent.data), "--suite", run.suite, "--node", "$$AGENT"]
    nodes = {f"{modality.name}-{node}": modality.name for modality in DEMO.modalities for node in modality.nodes}
    assert {nodes[agent] for agent in AGENTS} == {"image", "word", "tone"}
    assert str(said.agent.keys) == "/keys"
    assert str(said.agent.folder).startswith("/runs/")


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_volume_is_mounted_where_the_image_has_a_folder_of_its_user(name: str) -> None:
    (made,) = re.findall(r"install -d -o concord -g concord (.+?) \\", DOCKERFILE)
    assert set(mounts(name)) <= set(made.split())


def test_what_an_upgrade_removes_holds_no_key_and_no_state_of_the_superlink() -> None:
    (removed,) = re.findall(r"^docker volume rm (.+)$", GUIDE, re.MULTILINE)
    project = COMPOSE["name"]
    volumes = {name.removeprefix(f"{project}_") for name in removed.split()}
    assert volumes == {"anchors", "image-data", "tone-data", "word-data"}
    assert volumes < COMPOSE["volumes"].keys()
    for setup in SETUPS:
        at = {folder: volume for folder, (volume, _) in mounts(setup).items()}
        for words in script(setup):
            if words[:2] in (["concord", "data"], ["concord", "keys"]):
                volume = at[f"/{words[3].split('/')[1]}"]
                assert (volume in volumes) == (words[1] == "data"), (setup, words)


def test_the_guide_renews_the_certificate_with_the_names_that_it_was_made_with() -> None:
    (made,) = [words for words in script("setup") if words[:3] == ["concord", "keys", "server"]]
    (renewal,) = re.findall(r"^docker compose run --rm setup '(concord keys server .+)'$", GUIDE, re.MULTILINE)
    assert sorted(shlex.split(renewal)) == sorted([*made, "--renew"])
