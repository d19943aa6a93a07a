"""docker-compose.yml as it is written, without an engine: who holds which key, what can be made again."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped,unused-ignore]

from concord import keys

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "deploy" / "README.md").read_text()
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
EXECUTORS = sorted(name for name, service in SERVICES.items() if "flower-superexec" in service["command"])
SETUPS = sorted(name for name in SERVICES if name.startswith("setup"))
PRIVATE = {"authority", *(name for name in COMPOSE["volumes"] if name.endswith("-keys"))}


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
    assert sorted(PRIVATE) == ["authority", "image-keys", "superlink-keys", "tone-keys", "word-keys"]


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
    }


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
