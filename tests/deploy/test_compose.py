"""`docker compose up` from this folder: a federation in containers trains, is taken down, and goes on where it was."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from compose_project import ROOT, UP_SECONDS, Project, engine
from tiny_run import lines

from benchmarks.federation import wait_until
from concord import keys
from server_app.results import load_result

GUIDE = (ROOT / "deploy" / "README.md").read_text()
PROJECT = "concord-test"
ROUNDS = 3
RUN_SECONDS = 900
STRANGER = (
    "concord keys node /tmp/keys --ca-certificate /public/ca.crt && exec concord-supernode --superlink superlink:9092 "
    "--root-certificates /public/ca.crt --auth-supernode-private-key /tmp/keys/node.key --isolation process "
    "--clientappio-api-address 127.0.0.1:9094"
)

CERTIFICATE = (
    "import hashlib, socket, ssl; context = ssl.create_default_context(cafile='/public/ca.crt'); "
    "link = context.wrap_socket(socket.create_connection(('superlink', 9093)), server_hostname='superlink'); "
    "print(hashlib.sha256(link.getpeercert(True)).hexdigest())"
)


pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not engine(), reason="no Docker engine answers"),
    pytest.mark.timeout(UP_SECONDS + 2 * RUN_SECONDS),
]


class Compose(Project):
    """The federation with a server: the profile that is the default."""

    def __init__(self, runs: Path) -> None:
        super().__init__(PROJECT, {"CONCORD_RUNS": str(runs), "CONCORD_ROUNDS": str(ROUNDS), "CONCORD_FLEET": "127.0.0.1:0"})
        self.run = runs / "federation"


@pytest.fixture(scope="module")
def compose(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """A project that was taken down in the middle of its run and is up again; its run is done."""
    project = Compose(tmp_path_factory.mktemp("runs"))
    try:
        project("up", "--detach", "--build")
        assert wait_until(lambda: bool(lines(project.run, "round")), RUN_SECONDS), project("logs", "--tail", "30")
        project("down")
        project("up", "--detach")
        assert wait_until(lambda: project.containers()["submit"]["State"]["Status"] == "exited", RUN_SECONDS, pause=2)
        yield project
    finally:
        project("down", "--volumes")


def test_the_run_went_on_where_it_was_and_left_its_folder(compose: Compose) -> None:
    assert compose.containers()["submit"]["State"]["ExitCode"] == 0, compose("logs", "submit")
    result = load_result(compose.run)
    assert [line["round"] for line in lines(compose.run, "round")] == list(range(1, ROUNDS + 2))
    assert [line["replies"] for line in lines(compose.run, "round")] == [3] * (ROUNDS + 1), lines(compose.run, "rejection")
    assert result.accuracy["random"].keys() == {"image", "tone", "word"}
    events = [(line["event"], line["message"]) for line in lines(compose.run, "run")]
    assert events[0] == ("started", "")
    assert events[-1] == ("finished", "")
    assert any(message.startswith("resumed after round") for _, message in events)
    assert (compose.run / "report.html").exists()
    assert (compose.run / "model").is_dir()


def test_containers_have_no_more_rights_than_they_need(compose: Compose) -> None:
    for service, container in compose.containers().items():
        host = container["HostConfig"]
        assert host["ReadonlyRootfs"], service
        assert host["CapDrop"] == ["ALL"], service
        assert "no-new-privileges:true" in host["SecurityOpt"], service
        if service == "runs-folder":
            assert container["HostConfig"]["NetworkMode"] == "none"
        else:
            assert container["Config"]["User"] == "concord", service
        assert "FLWR_TELEMETRY_ENABLED=0" in container["Config"]["Env"], service


@pytest.mark.parametrize("executor", ["serverapp", "clientapp-image", "clientapp-word", "clientapp-tone"])
def test_an_executor_finds_no_key_but_that_of_its_link(compose: Compose, executor: str) -> None:
    certificate = keys.CA_CERTIFICATE if executor == "serverapp" else keys.LINK_CERTIFICATE
    assert set(compose("exec", "-T", executor, "ls", "-A", "/keys").split()) == {certificate, keys.SECRET}


def test_only_the_fleet_endpoint_is_published_and_nodes_share_no_network(compose: Compose) -> None:
    containers = compose.containers()
    published = {
        (service, port, binding["HostIp"])
        for service, container in containers.items()
        for port, bindings in (container["NetworkSettings"]["Ports"] or {}).items()
        for binding in bindings or []
    }
    assert published == {("superlink", "9092/tcp", "127.0.0.1")}
    networks = {service: set(container["NetworkSettings"]["Networks"]) for service, container in containers.items()}
    assert not networks["clientapp-image"] & networks["clientapp-word"]
    assert not networks["clientapp-image"] & networks["superlink"]
    assert networks["supernode-image"] & networks["superlink"] == {f"{PROJECT}_fleet"}
    outside = {service for service, names in networks.items() if f"{PROJECT}_outside" in names}
    assert outside == {"superlink"}


def test_a_node_that_is_not_registered_is_refused(compose: Compose) -> None:
    command = ["docker", "run", "--rm", "--network", f"{PROJECT}_fleet", "--volume", f"{PROJECT}_public:/public:ro"]
    stranger = [*command, "concord-app:0.1.0", "sh", "-c", STRANGER]
    done = subprocess.run(stranger, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode
    assert "Failed to activate SuperNode" in done.stdout + done.stderr


def test_up_again_after_the_end_only_shows_the_figures(compose: Compose) -> None:
    before = (compose.run / "result.json").read_bytes()
    compose("up", "--detach")
    assert wait_until(lambda: compose.containers()["submit"]["State"]["Status"] == "exited", RUN_SECONDS, pause=2)
    assert compose.containers()["submit"]["State"]["ExitCode"] == 0
    assert "accuracy" in compose("logs", "submit")
    assert (compose.run / "result.json").read_bytes() == before


def sums(compose: Compose) -> dict[str, str]:
    """Digests of keys and of the server certificate, by path."""
    files = "/authority/ca.key /keys/server.key /keys/superexec.secret /keys/server.crt"
    told = compose("run", "--rm", "-T", "setup", f"sha256sum {files}").splitlines()
    return {path: digest for digest, path in (line.split() for line in told)}


def test_the_certificate_is_renewed_as_the_guide_says(compose: Compose) -> None:
    (command,) = re.findall(r"^docker compose (run --rm setup '.+')$", GUIDE, re.MULTILINE)
    shown = ("run", "--rm", "-T", "--no-deps", "submit", "python", "-c", CERTIFICATE)
    before, seen = sums(compose), compose(*shown)
    compose(*shlex.split(command))
    after = sums(compose)
    assert {path for path in before if before[path] != after[path]} == {"/keys/server.crt"}
    assert compose(*shown) == seen
    compose("restart", "superlink")
    assert wait_until(lambda: compose.containers()["superlink"]["State"]["Health"]["Status"] == "healthy", 180, pause=2)
    assert compose(*shown) != seen


def test_an_upgrade_with_other_data_and_anchors_keeps_the_keys(compose: Compose) -> None:
    before = sums(compose)
    (removed,) = re.findall(r"^docker volume rm (.+)$", GUIDE, re.MULTILINE)
    volumes = [name.replace("concord_", f"{PROJECT}_") for name in removed.split()]
    compose("down")
    subprocess.run(["docker", "volume", "rm", *volumes], check=True, capture_output=True)
    compose("run", "--rm", "-T", "setup", "concord data anchors /anchors/demo --suite demo --seed 1")
    with pytest.raises(AssertionError):  # C301: a version with other anchors finds those of the former one
        compose("up", "--detach")
    compose("down")
    subprocess.run(["docker", "volume", "rm", *volumes], check=False, capture_output=True)
    compose("up", "--detach")
    assert wait_until(lambda: compose.containers()["submit"]["State"]["Status"] == "exited", RUN_SECONDS, pause=2)
    assert compose.containers()["submit"]["State"]["ExitCode"] == 0, compose("logs", "submit")
    assert sums(compose) == before
