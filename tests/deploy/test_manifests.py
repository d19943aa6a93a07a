"""Systemd units and Kubernetes manifests: valid, hardened, and with no flag that their program does not know."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest
import typer
import yaml  # type: ignore[import-untyped,unused-ignore]

from concord import cli, keys
from concord.flower import SCRIPTS

DEPLOY = Path(__file__).parents[2] / "deploy"
SYSTEMD, KUBERNETES = DEPLOY / "systemd", DEPLOY / "kubernetes"
UNITS = sorted(SYSTEMD.glob("*.service"))
PEER = SYSTEMD / "concord-peer.service"
KUSTOMIZATIONS = sorted(KUBERNETES.rglob("kustomization.yaml"))
MANIFESTS = sorted(set(KUBERNETES.rglob("*.yaml")) - set(KUSTOMIZATIONS))
KUBERNETES_VERSION = "1.31"  # the first with a stable podFailurePolicy
WORKLOADS = ("Deployment", "StatefulSet", "Job", "Pod")

FLEET, CONTROL, DNS = 9092, 9093, 53
UID = 10001
ENVIRONMENT = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "OMP_NUM_THREADS": "1",
    "FLWR_HOME": "/var/lib/concord/flower",
}
HARDENING = {
    "NoNewPrivileges": "yes",
    "CapabilityBoundingSet": "",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "SystemCallFilter": "@system-service",
}

Manifest = dict[str, Any]


def name_of(path: Path) -> str:
    return str(path.relative_to(DEPLOY))


def settings_of(unit: Path) -> dict[str, list[str]]:
    """Values of each key of a unit, in order; lines that end with a backslash go on."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text().replace("\\\n", " ").splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith(("#", ";")):
            found.setdefault(key, []).append(value.strip())
    return found


def environment_of(unit: Path) -> dict[str, str]:
    words = [word for line in settings_of(unit)["Environment"] for word in shlex.split(line)]
    return dict(word.split("=", 1) for word in words)


def command_of(unit: Path) -> list[str]:
    (command,) = settings_of(unit)["ExecStart"]
    return shlex.split(command)


def documents(path: Path) -> list[Manifest]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def patches() -> Iterator[tuple[str, Manifest]]:
    """What overlays change, with the path of the overlay."""
    for path in KUSTOMIZATIONS:
        for patch in documents(path)[0].get("patches", []):
            yield name_of(path), yaml.safe_load(patch["patch"])


def everything() -> list[tuple[str, Manifest]]:
    """All manifests, and patches as far as they go, with where they are."""
    whole = [(name_of(path), document) for path in MANIFESTS for document in documents(path)]
    return [*whole, *patches()]


def pod_of(document: Manifest) -> Manifest:
    spec: Manifest = document["spec"]
    return spec if document["kind"] == "Pod" else spec["template"]["spec"]


def containers_of(pod: Manifest) -> list[Manifest]:
    return [*pod.get("initContainers", []), *pod.get("containers", [])]


PODS = [
    pytest.param(pod_of(document), id=f"{where}:{document['metadata']['name']}")
    for where, document in everything()
    if document["kind"] in WORKLOADS and "containers" in pod_of(document)
]
CONTAINERS = [
    pytest.param(container, id=f"{where}:{container['name']}")
    for where, document in everything()
    if document["kind"] in WORKLOADS
    for container in containers_of(pod_of(document))
]


@cache
def flags_of_flower(program: str) -> frozenset[str]:
    """Every option of a Flower program, from its help."""
    shown = subprocess.run(
        [SCRIPTS / program, "--help"], capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "200"}
    )
    return frozenset(re.findall(r"--[a-z][a-z-]*[a-z]", shown.stdout))


def flags_of_concord(words: list[str]) -> frozenset[str]:
    """Every option of the command of `concord` that `words` begin with."""
    command: click.Command = typer.main.get_command(cli.app)
    for word in words:
        if not isinstance(command, click.Group):
            break
        command = command.commands[word]
    return frozenset(option for parameter in command.params for option in parameter.opts)


def unknown_flags(command: list[str]) -> set[str]:
    program, *words = command
    name = Path(program).name
    used = {word.split("=", 1)[0] for word in words if word.startswith("--")}
    if not used:
        return set()
    return used - (flags_of_concord(words) if name == "concord" else flags_of_flower(name))


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Manifest]]:
    """What `kubectl kustomize` makes of each overlay, with keys made for it."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    root = tmp_path_factory.mktemp("rendered")
    made = root / "kubernetes"
    shutil.copytree(KUBERNETES, made, ignore=shutil.ignore_patterns("keys", "pubs", "ca.crt"))
    keys.make_authority(root / "ca")
    certificate = root / "ca" / keys.CA_CERTIFICATE
    for path in made.rglob("kustomization.yaml"):
        wanted = [file for each in documents(path)[0].get("secretGenerator", []) for file in each["files"]]
        if f"keys/{keys.SERVER_KEY}" in wanted:
            keys.make_server(path.parent / "keys", root / "ca", ["superlink"])
        elif wanted:
            keys.make_node(path.parent / "keys", certificate)
    submit = made / "overlays" / "submit"
    (submit / "pubs").mkdir()
    shutil.copy(certificate, submit)
    for ward in ("ward-1", "ward-2", "ward-3"):
        shutil.copy(made / "overlays" / "example" / ward / "keys" / keys.NODE_PUBLIC_KEY, submit / "pubs" / f"{ward}.pub")
    found = {}
    for overlay in sorted((made / "overlays").iterdir()):
        shown = subprocess.run(["kubectl", "kustomize", overlay], capture_output=True, text=True, check=False)
        assert not shown.returncode, shown.stderr
        found[overlay.name] = list(yaml.safe_load_all(shown.stdout))
    return found


def test_there_is_something_to_test() -> None:
    assert [path.stem.removeprefix("concord-") for path in UNITS] == ["clientapp", "peer", "serverapp", "superlink", "supernode"]
    assert MANIFESTS
    assert PODS


@pytest.mark.parametrize("unit", UNITS, ids=name_of)
def test_a_unit_uses_only_flags_that_its_program_has(unit: Path) -> None:
    assert unknown_flags(command_of(unit)) == set()


@pytest.mark.parametrize("unit", UNITS, ids=name_of)
def test_a_unit_sends_and_installs_nothing(unit: Path) -> None:
    environment = environment_of(unit)
    assert environment.items() >= {key: value for key, value in ENVIRONMENT.items() if key != "FLWR_HOME"}.items()
    assert environment["PATH"].startswith(str(Path(command_of(unit)[0]).parent))  # executors start flwr-serverapp by PATH


@pytest.mark.parametrize("unit", UNITS, ids=name_of)
def test_a_unit_is_started_again_without_limit(unit: Path) -> None:
    settings = settings_of(unit)
    when = "on-failure" if unit == PEER else "always"  # an agent that is done has ended
    assert (settings["Restart"], settings["RestartSec"], settings["StartLimitIntervalSec"]) == ([when], ["5"], ["0"])


@pytest.mark.parametrize("unit", UNITS, ids=name_of)
def test_a_unit_is_hardened(unit: Path) -> None:
    settings = settings_of(unit)
    assert {key: settings.get(key) for key in HARDENING} == {key: [value] for key, value in HARDENING.items()}


@pytest.mark.parametrize("kind", ["serverapp", "clientapp"])
def test_an_executor_runs_code_of_others_that_sees_no_key_and_no_other_machine(kind: str) -> None:
    settings = settings_of(SYSTEMD / f"concord-{kind}.service")
    assert settings["KillSignal"] == ["SIGINT"]
    assert (settings["IPAddressDeny"], settings["IPAddressAllow"]) == (["any"], ["localhost"])
    secret = {"serverapp": keys.SERVER_KEY, "clientapp": keys.NODE_KEY}[kind]
    assert f"-/etc/concord/{secret}" in settings["InaccessiblePaths"][0].split()


def test_the_server_executor_knows_where_runs_are() -> None:
    assert environment_of(SYSTEMD / "concord-serverapp.service")["CONCORD_RUNS"] == "/var/lib/concord/runs"


@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit != PEER], ids=name_of)
def test_the_example_of_the_environment_file_sets_every_variable(unit: Path) -> None:
    (file,) = settings_of(unit)["EnvironmentFile"]
    example = (SYSTEMD / f"{Path(file).name}.example").read_text()
    given = dict(re.findall(r"^([A-Z_]+)=(\S+)$", example, re.MULTILINE))
    wanted = {name for word in command_of(unit) for name in re.findall(r"\$\{(\w+)\}", word)}
    assert wanted
    assert wanted <= given.keys()
    assert given["CONCORD_RUNTIME"].startswith("127.0.0.1:")


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    for unit in UNITS:
        (tmp_path / unit.name).write_text(unit.read_text().replace("/opt/concord/.venv/bin/", f"{SCRIPTS}/"))
    said = subprocess.run(["systemd-analyze", "verify", *sorted(tmp_path.iterdir())], capture_output=True, text=True, check=False)
    assert not [line for line in said.stderr.splitlines() if "concord" in line]
    assert not said.returncode


@pytest.mark.parametrize("path", MANIFESTS, ids=name_of)
def test_a_manifest_is_valid(path: Path) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    for document in documents(path):
        kubernetes_validate.validate(document, KUBERNETES_VERSION, strict=True)


def test_what_an_overlay_makes_is_valid_and_complete(rendered: dict[str, list[Manifest]]) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    for overlay, made in rendered.items():
        for document in made:
            kubernetes_validate.validate(document, KUBERNETES_VERSION, strict=True)
        there = {(document["kind"], document["metadata"]["name"]) for document in made}
        if overlay == "submit":  # which runs beside another
            there.add(("PersistentVolumeClaim", "superlink-runs"))
        for document in made:
            if document["kind"] in WORKLOADS:
                assert set(needs(pod_of(document))) <= there, overlay


def needs(pod: Manifest) -> Iterator[tuple[str, str]]:
    """Kind and name of what a pod takes from elsewhere."""
    for volume in pod["volumes"]:
        if "secret" in volume:
            yield "Secret", volume["secret"]["secretName"]
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"]
        if "persistentVolumeClaim" in volume:
            yield "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]
    for container in containers_of(pod):
        for variable in container["env"]:
            if "valueFrom" in variable:
                yield "ConfigMap", variable["valueFrom"]["configMapKeyRef"]["name"]


def test_nodes_of_an_overlay_do_not_share_pods_keys_or_volumes(rendered: dict[str, list[Manifest]]) -> None:
    nodes = [document for document in rendered["example"] if document["kind"] == "Deployment"]
    assert len(nodes) == 3
    assert len({tuple(sorted(node["spec"]["selector"]["matchLabels"].items())) for node in nodes}) == 3
    used = [set(needs(pod_of(node))) for node in nodes]
    assert not any(used[i] & used[j] for i in range(3) for j in range(i))


@pytest.mark.parametrize("path", KUSTOMIZATIONS, ids=name_of)
def test_a_kustomization_names_only_what_exists(path: Path) -> None:
    for resource in documents(path)[0]["resources"]:
        named = path.parent / resource
        assert named.is_file() or (named / "kustomization.yaml").is_file(), resource


def test_every_manifest_is_named_by_a_kustomization() -> None:
    named = {(path.parent / resource).resolve() for path in KUSTOMIZATIONS for resource in documents(path)[0]["resources"]}
    assert {name_of(path) for path in MANIFESTS if path.resolve() not in named} == {
        "kubernetes/overlays/hospital/load-data.yaml"  # for a few minutes, by hand
    }


def test_no_key_is_in_the_repository() -> None:
    ignored = (KUBERNETES / ".gitignore").read_text().split()
    for path in KUSTOMIZATIONS:
        config = documents(path)[0]
        for generator in [*config.get("secretGenerator", []), *config.get("configMapGenerator", [])]:
            for file in generator.get("files", []):
                assert {f"{Path(file).parts[0]}/", file} & set(ignored), file


@pytest.mark.parametrize("pod", PODS)
def test_a_pod_is_not_root_and_has_no_account(pod: Manifest) -> None:
    context = pod["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] == context["runAsGroup"] == context["fsGroup"] == UID
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert not [volume for volume in pod["volumes"] if "hostPath" in volume]


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_container_is_restricted(container: Manifest) -> None:
    context = container["securityContext"]
    assert context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["requests"].keys() == {"cpu", "memory"}


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_container_sends_and_installs_nothing(container: Manifest) -> None:
    environment = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert environment.items() >= ENVIRONMENT.items()


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_container_uses_only_flags_that_its_program_has(container: Manifest) -> None:
    assert unknown_flags(container["command"]) == set()


@pytest.mark.parametrize("container", CONTAINERS)
def test_the_link_to_an_executor_stays_in_the_pod_and_health_is_probed(container: Manifest) -> None:
    options = dict(word.split("=", 1) for word in container["command"] if word.startswith("--") and "=" in word)
    for name in ("--serverappio-api-address", "--clientappio-api-address", "--appio-api-address"):
        assert options.get(name, "127.0.0.1:").startswith("127.0.0.1:")
    if container["command"][0].startswith("flower-"):
        port = container["readinessProbe"]["grpc"]["port"]
        assert options["--health-server-address"] == f"0.0.0.0:{port}"


def test_an_executor_gets_no_key_but_that_of_its_link() -> None:
    for where, document in everything():
        if document["kind"] not in WORKLOADS:
            continue
        volumes = {volume["name"]: volume for volume in pod_of(document).get("volumes", [])}
        for container in containers_of(pod_of(document)):
            if container["command"][0] != "flower-superexec":
                continue
            (mounted,) = (volumes[m["name"]] for m in container["volumeMounts"] if m["mountPath"] == "/etc/concord")
            files = {item["key"] for item in mounted["secret"]["items"]}
            assert files < {keys.CA_CERTIFICATE, keys.LINK_CERTIFICATE, keys.SECRET}, where


def test_only_the_fleet_port_can_be_reached_from_outside() -> None:
    services = [document for _, document in everything() if document["kind"] == "Service"]
    opened = {s["metadata"]["name"] for s in services if s["spec"].get("type", "ClusterIP") != "ClusterIP"}
    assert opened == {"superlink"}
    ports = {port["port"] for s in services if s["metadata"]["name"] in opened for port in s["spec"].get("ports", [])}
    assert ports == {FLEET}
    assert not [s for s in services if "externalIPs" in s["spec"]]


def test_policies_let_nothing_through_but_fleet_control_and_names() -> None:
    policies = [document for _, document in everything() if document["kind"] == "NetworkPolicy"]
    for policy in policies:
        for direction, other in (("ingress", "from"), ("egress", "to")):
            for rule in policy["spec"].get(direction) or []:
                ports = {port["port"] for port in rule["ports"]}
                outside = any("ipBlock" in peer for peer in rule[other])
                assert rule[other], policy["metadata"]["name"]
                assert ports <= ({FLEET} if outside else {FLEET, CONTROL, DNS}), policy["metadata"]["name"]


def test_a_namespace_denies_by_default() -> None:
    (deny,) = documents(KUBERNETES / "base" / "namespace" / "default-deny.yaml")
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for overlay in ("example", "operator", "hospital"):
        assert "../../base/namespace" in documents(KUBERNETES / "overlays" / overlay / "kustomization.yaml")[0]["resources"]
