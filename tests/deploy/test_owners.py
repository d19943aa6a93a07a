"""Users of the units and deploy/systemd/owners.sh: what each program can read of its machine, tried as its user."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from concord import keys

SYSTEMD = Path(__file__).parents[2] / "deploy" / "systemd"
GUIDE = (SYSTEMD.parent / "README.md").read_text()
CONCORD, APP = "daemon", "bin"  # two users that every machine has, in the place of `concord` and `concord-app`
DATA = ("data/node.json", "data/train/image.safetensors")

PROGRAMS = {"superlink": "concord", "supernode": "concord", "serverapp": "concord-app", "clientapp": "concord-app"}
HOMES = {"concord": "/var/lib/concord/flower", "concord-app": "/var/lib/concord/flower-app"}

needs_root = pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv")


@pytest.fixture
def root() -> Iterator[Path]:
    """A folder that others can enter, as pytest's own is not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        (Path(name) / "etc").mkdir()
        (Path(name) / "var" / "lib").mkdir(parents=True)
        keys.make_authority(Path(name) / "ca")
        yield Path(name)


def own(root: Path) -> None:
    env = {**os.environ, "CONCORD_ROOT": str(root), "CONCORD_USER": CONCORD, "CONCORD_APP_USER": APP}
    subprocess.run(["sh", SYSTEMD / "owners.sh"], env=env, check=True)


def words(kind: str, key: str) -> list[str]:
    """The words after `key` in a unit."""
    unit = (SYSTEMD / f"concord-{kind}.service").read_text()
    return [word for value in re.findall(rf"^{key}=(.*)$", unit, re.MULTILINE) for word in value.split()]


def can(user: str, what: str, path: Path, groups: str = "--clear-groups") -> bool:
    """Whether `user`, without any other group unless told of one, may do `what` (r, w or x) with `path`."""
    command = ["setpriv", f"--reuid={user}", f"--regid={user}", groups, "--no-new-privs", "test", f"-{what}", str(path)]
    return not subprocess.run(command, check=False).returncode


def readable(user: str, folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and can(user, "r", path)}


def needed(kind: str) -> set[str]:
    """Files of /etc/concord in the command of a unit."""
    command = (SYSTEMD / f"concord-{kind}.service").read_text().split("ExecStart=")[1].split("\n#")[0]
    return set(re.findall(r"/etc/concord/([\w.]+)", command))


@needs_root
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_programs_of_a_node_read_what_they_need_and_nothing_else(root: Path, umask: int) -> None:
    etc, lib = root / "etc" / "concord", root / "var" / "lib" / "concord"
    before = os.umask(umask)
    try:
        keys.make_node(etc, root / "ca" / keys.CA_CERTIFICATE)
        (etc / "node.env").touch()
        for file in DATA:
            (lib / file).parent.mkdir(parents=True, exist_ok=True)
            (lib / file).write_text("private")
    finally:
        os.umask(before)
    own(root)
    own(root)
    public = {keys.CA_CERTIFICATE, keys.LINK_CERTIFICATE, keys.NODE_PUBLIC_KEY, "node.env"}
    assert readable(APP, etc) == {*public, keys.SECRET} >= needed("clientapp")
    assert readable(CONCORD, etc) == {*public, keys.SECRET, keys.NODE_KEY, keys.LINK_KEY} >= needed("supernode")
    assert (readable(APP, lib), readable(CONCORD, lib)) == (set(DATA), set())
    assert not [path for path in root.rglob("*") for user in (CONCORD, APP) if can(user, "w", path)]


@needs_root
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_an_agent_reads_its_keys_and_its_data_and_can_change_neither(root: Path, umask: int) -> None:
    folder, data = root / "etc" / "concord" / "ward-1", root / "var" / "lib" / "concord" / DATA[0]
    before = os.umask(umask)
    try:
        keys.make_peer(folder, root / "ca")
        data.parent.mkdir(parents=True)
        data.write_text("private")
    finally:
        os.umask(before)
    own(root)
    own(root)
    certificates = {keys.CA_CERTIFICATE, keys.PEER_CERTIFICATE}
    assert (readable(CONCORD, folder), readable(APP, folder)) == ({*certificates, keys.PEER_KEY}, certificates)
    assert [words("peer", key) for key in ("User", "Group", "SupplementaryGroups")] == [["concord"], ["concord"], ["concord-app"]]
    assert can(CONCORD, "r", data, f"--groups={APP}")
    assert not can(CONCORD, "r", data)
    assert not any(can(CONCORD, "w", path, f"--groups={APP}") for path in (*folder.iterdir(), folder, data, data.parent))


@needs_root
def test_programs_of_a_superlink_read_what_they_need_and_nothing_else(root: Path) -> None:
    etc, lib = root / "etc" / "concord", root / "var" / "lib" / "concord"
    keys.make_server(etc, root / "ca", ["localhost"])
    own(root)
    public = {keys.CA_CERTIFICATE, keys.SERVER_CERTIFICATE}
    assert readable(APP, etc) == {*public, keys.SECRET} >= needed("serverapp")
    assert readable(CONCORD, etc) == {*public, keys.SECRET, keys.SERVER_KEY} >= needed("superlink")
    run = lib / "runs" / "first"
    write = f"umask 027; mkdir -p {run}/checkpoint && echo 1 > {run}/checkpoint/state"
    subprocess.run(["setpriv", f"--reuid={APP}", f"--regid={APP}", "--clear-groups", "sh", "-c", write], check=True)
    assert can(CONCORD, "r", run / "checkpoint" / "state")  # `concord submit`
    assert not can(CONCORD, "w", run)
    assert not can("nobody", "x", lib / "runs")


@needs_root
def test_run_folders_of_the_time_of_one_user_go_to_the_executor(root: Path) -> None:
    etc, lib = root / "etc" / "concord", root / "var" / "lib" / "concord"
    keys.make_server(etc, root / "ca", ["localhost"])
    for path in (etc / keys.SERVER_KEY, etc / keys.SECRET, etc):
        shutil.chown(path, CONCORD, CONCORD)
    etc.chmod(0o700)
    result = lib / "runs" / "first" / "result.json"
    result.parent.mkdir(parents=True)
    result.write_text("{}")
    result.chmod(0o600)
    for path in (lib, lib / "runs", result.parent, result):
        shutil.chown(path, CONCORD, CONCORD)
    lib.chmod(0o700)
    own(root)
    assert can(APP, "w", result)
    assert can(CONCORD, "r", result)
    assert not can(APP, "r", etc / keys.SERVER_KEY)
    assert not can(CONCORD, "w", etc / keys.SERVER_KEY)


@pytest.mark.parametrize("kind", PROGRAMS)
def test_a_unit_that_runs_code_of_others_has_a_user_of_its_own(kind: str) -> None:
    user = PROGRAMS[kind]
    assert (words(kind, "User"), words(kind, "Group"), words(kind, "SupplementaryGroups")) == ([user], [user], [])
    written = {f"/var/lib/{folder}" for folder in words(kind, "StateDirectory")}
    assert HOMES[user] in written
    assert f"FLWR_HOME={HOMES[user]}" in words(kind, "Environment")
    others = {f"/var/lib/{folder}" for other in PROGRAMS if PROGRAMS[other] != user for folder in words(other, "StateDirectory")}
    assert not written & others
    for name, home in HOMES.items():
        assert (f"-{home}" in words(kind, "InaccessiblePaths")) == (name != user)
        home_and_shell = "--home-dir /var/lib/concord --no-create-home --shell /usr/sbin/nologin"
        assert f"useradd --system --user-group {home_and_shell} {name}\n" in GUIDE
    assert words(kind, "UMask") == ["0027" if kind == "serverapp" else "0077"]  # `concord submit` reads run folders
    assert words(kind, "ReadWritePaths") == (["/var/lib/concord/runs"] if kind == "serverapp" else [])


def test_the_guide_gives_files_to_their_users_by_this_script_alone() -> None:
    assert GUIDE.count("sh /opt/concord/deploy/systemd/owners.sh\n") >= 4
    assert set(re.findall(r"chown [^`\n]+", GUIDE)) == {"chown -R concord:concord /var/lib/concord/superlink"}
