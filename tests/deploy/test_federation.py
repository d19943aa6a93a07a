"""A federation of real processes: the figures of a simulation, who is refused, who comes and goes, and who lags."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from real_federation import NODES, ROUNDS, assert_same_accuracy, federation, node_configs, run_config
from rich.console import Console
from tiny_run import Settings, lines

from benchmarks.federation import LocalFederation, client_executor, supernode, wait_until
from client_app.data.federation import build_federation
from client_app.data.node_folder import Origin, save_node
from concord.commands.inspect import deal_data, write_anchors
from concord.deployment import follow
from concord.flower import repository
from concord.run_folder import RunFolder
from concord.simulation import run_simulation
from server_app.results import Result, load_result

pytestmark = pytest.mark.process

STRANGER, OLD, FOREIGN = "stranger", "old-version", "foreign-anchors"
FIRST, SECOND = NODES
TOLERANCE = 1e-3  # of accuracies and, relative, of losses: the same arithmetic, on one thread both times
LEARNT = 0.3  # accuracy that chance (0.1) does not reach
DEADLINE = 60.0  # seconds of a round


def replies(run: Path) -> list[int]:
    """How many good replies each finished round had."""
    return [line["replies"] for line in lines(run, "round")]


def while_running(run: Path, after: int, act: Callable[[], None]) -> threading.Thread:
    """Does something once round `after` is finished."""

    def wait_and_act() -> None:
        assert wait_until(lambda: len(replies(run)) >= after, 300)
        act()

    thread = threading.Thread(target=wait_and_act)
    thread.start()
    return thread


@pytest.mark.timeout(900)
def test_a_deployment_has_the_figures_of_a_simulation_and_strangers_are_refused(
    dealt: Path, tmp_path: Path, undisturbed: Result
) -> None:
    other = build_federation("demo", None, 1, "labelled")
    save_node(tmp_path / FOREIGN, other.nodes[0], other.anchors, Origin("demo", 0, "labelled"))
    nodes = node_configs(dealt) | {
        STRANGER: {"data": str(dealt / FIRST)},
        FOREIGN: {"data": str(tmp_path / FOREIGN)},
        OLD: {"data": str(dealt / SECOND)},
    }
    old_version(tmp_path / "old")
    run = tmp_path / "run"
    known = [*NODES, FOREIGN, OLD]
    env = {client_executor(OLD): {"PYTHONPATH": str(tmp_path / "old")}}
    with LocalFederation(tmp_path, nodes, register=known, env=env) as fed:
        follow(fed.superlink, repository(), run_config(run, dealt))
        assert wait_until(lambda: "Failed to activate SuperNode" in fed.log(supernode(STRANGER)), 30)
    result = load_result(run)
    assert {(r.node, r.reason) for r in result.rejections} == {
        (other.nodes[0].name, "other-anchors"),
        (SECOND, "other-version"),
    }
    assert replies(run)[:ROUNDS] == [len(NODES)] * ROUNDS
    assert_same_accuracy(result, undisturbed)


@pytest.mark.timeout(900)
def test_the_same_app_gives_the_same_figures_in_simulation_and_deployment(tmp_path: Path) -> None:
    """Flower's simulation deals the data to its nodes, a deployment reads it from folders: seed and samples are the same."""
    names = [node.name for node in build_federation("demo", None, 0, "labelled").nodes[: len(NODES)]]
    deal_data(tmp_path, "demo", "labelled", None, 0, names, Console(quiet=True))
    write_anchors(tmp_path / "anchors", "demo", "labelled", None, 0, Console(quiet=True))
    learning: Settings = {"local-steps": 30, "batch-size": 32, "lr": 0.01}
    simulated, deployed = (run_config(tmp_path / kind, tmp_path, learning) for kind in ("simulated", "deployed"))
    RunFolder(simulated.run_folder).prepare(simulated)
    run_simulation(simulated.model_copy(update={"resume": False}), repository(), len(names))
    with LocalFederation(tmp_path, {name: {"data": str(tmp_path / name)} for name in names}) as fed:
        follow(fed.superlink, repository(), deployed)
    expected, found = load_result(tmp_path / "simulated"), load_result(tmp_path / "deployed")
    assert max(a.accuracy for a in expected.accuracy["random"].values()) > LEARNT, "nothing was learnt that could differ"
    assert_same_accuracy(found, expected, TOLERANCE)
    losses = [[line["losses"] for line in lines(tmp_path / kind, "round")] for kind in ("simulated", "deployed")]
    for here, there in zip(*losses, strict=True):
        assert there == pytest.approx(here, rel=TOLERANCE)


def old_version(folder: Path) -> None:
    """Makes Python believe that an older Concord is installed."""
    (folder / "concord-0.0.9.dist-info").mkdir(parents=True)
    (folder / "concord-0.0.9.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: concord\nVersion: 0.0.9\n")


def rounds_of(run: Path, node: str) -> set[int]:
    """The rounds in which a node's reply counted."""
    return {line["round"] for line in lines(run, "node") if line["node"] == node}


@pytest.mark.timeout(900)
def test_a_node_comes_late_leaves_and_returns(dealt: Path, tmp_path: Path) -> None:
    run, rounds = tmp_path / "run", 13  # a node that was away is let in again after about a minute
    seen: list[int] = []

    def come_and_go(fed: LocalFederation) -> None:
        assert wait_until(lambda: len(replies(run)) >= 1, 300)
        fed.start(supernode(SECOND))
        assert wait_until(lambda: bool(rounds_of(run, SECOND)), 300)
        seen.append(max(rounds_of(run, SECOND)))
        fed.hold(supernode(SECOND))
        assert wait_until(lambda: rounds_of(run, FIRST) > rounds_of(run, SECOND), 300)
        assert wait_until(lambda: max(rounds_of(run, FIRST)) > max(rounds_of(run, SECOND)), 300)
        fed.start(supernode(SECOND))

    with federation(tmp_path, dealt) as fed:
        fed.hold(supernode(SECOND))
        changing = threading.Thread(target=come_and_go, args=(fed,))
        changing.start()
        follow(fed.superlink, repository(), run_config(run, dealt, {"rounds": rounds, "min-nodes": 1, "round-timeout": DEADLINE}))
        changing.join()
    assert rounds_of(run, FIRST) >= set(range(1, rounds + 1))
    (left,) = seen
    assert 1 not in rounds_of(run, SECOND)
    missed = set(range(left, rounds + 1)) - rounds_of(run, SECOND)
    assert missed, "it was away"
    assert max(rounds_of(run, SECOND)) > min(missed), "it came back"


@pytest.mark.timeout(900)
def test_a_straggler_is_left_out_after_the_deadline_and_catches_up(dealt: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with federation(tmp_path, dealt) as fed:
        sleeping = while_running(run, 1, lambda: fed.signal_node(SECOND, signal.SIGSTOP))
        waking = while_running(run, 2, lambda: fed.signal_node(SECOND, signal.SIGCONT))
        follow(fed.superlink, repository(), run_config(run, dealt, {"rounds": 4, "round-timeout": DEADLINE}))
        sleeping.join()
        waking.join()
    missed = [(line["round"], line["node"], line["reason"]) for line in lines(run, "rejection")]
    assert missed
    assert missed[0][:2] == (2, SECOND)
    assert {node for _, node, _ in missed} == {SECOND}
    assert {reason for _, _, reason in missed} <= {"no-reply", "node-error"}, "it must not answer for an old round"
    assert replies(run)[3] == len(NODES), "it is back in the last round"
