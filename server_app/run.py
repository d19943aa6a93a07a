"""A run: warm-up or resume, the rounds, the final evaluation, and everything it leaves in its folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord
from flwr.serverapp import Grid

from client_app.graphs.registry import build_network
from client_app.holdings import identity_of
from client_app.model import MultimodalModel
from client_app.model_check import feature_widths, model_width
from concord.anchors import AnchorSet, load_anchors
from concord.config import RunConfig, parse_config
from concord.errors import ConcordError
from concord.own import OF_FOLDERS, check_encoders, require_anchors
from concord.run_folder import RunFolder, atomic_write
from concord.wire.groups import group_digest
from server_app.card import CARD, model_card
from server_app.checkpoint import has_checkpoint, load_checkpoint, save_checkpoint
from server_app.diagnostics import AdaptedLayer, adapted_layers, mean_direction_gap
from server_app.evaluation import final_result
from server_app.export import export_model, export_network
from server_app.lines import outcome_lines, rejection_lines
from server_app.report import write_report
from server_app.results import Result, save_result
from server_app.semantic_lines import semantic_lines
from server_app.warmup import warm_up
from strategies.admission import NEW_NODE_SECONDS
from strategies.checks.rejection import Reason, Rejection
from strategies.exchange import exchange
from strategies.registry import METHODS, check_method
from strategies.state import GlobalState, Outcome
from strategies.strategy import ConcordStrategy

NODE_POLL = 0.2  # seconds between looks for nodes that are still to connect
RETURN_SECONDS = 120.0  # a SuperNode that was killed is let in again after about a minute
MAY_CHANGE = ("rounds", "resume", "run-folder")  # of a run that goes on


@dataclass(frozen=True)
class Run:
    """One run on a grid: the strategy and the folder that it writes to."""

    config: RunConfig
    anchors: AnchorSet
    strategy: ConcordStrategy
    folder: RunFolder
    grid: Grid

    @cached_property
    def layers(self) -> dict[str, AdaptedLayer]:
        """The adapted layers of the trunk, for the diagnostics."""
        return adapted_layers(self.config, self.strategy.state.base or None)

    def rounds(self) -> Result:
        """Does all rounds that are not done yet and the final evaluation; writes result, report and model.

        Raises:
            ConcordError: C401 for too few nodes, C406 when the disk is full, C407 when nobody answers in the end; the last
                checkpoint stays whole.
        """
        try:
            return self._rounds()
        except OSError as error:
            hint = "free space; the last checkpoint is whole, and the same run goes on with `--resume` or `concord submit`"
            raise ConcordError("C406", f"{self.folder.path}: {error}", hint) from error

    def _rounds(self) -> Result:
        self.wait_for_nodes()
        for round_ in range(self.strategy.state.round_ + 1, self.config.rounds + 1):
            self.train_round(round_)
        result = self.evaluate()
        save_result(self.folder.path, result)
        if result.weights:  # of groups that were averaged at least once; others are as they were before round 1
            export = export_network if self.config.of_graphs else export_model
            about = export(self.folder.model, self.config, self.anchors, self.strategy.state)
            atomic_write(self.folder.model / CARD, model_card(self.config, about, result))
        self.folder.append_metrics({"scope": "run", "event": "finished", "message": ""})
        write_report(self.folder.path)
        return result

    @property
    def enough(self) -> int:
        """How many nodes a round needs to change the model."""
        return max(1, self.config.min_replies)

    def wait_for_nodes(self) -> None:
        """Waits until as many nodes have connected as the run needs, and takes their census.

        That is `min-nodes` at the start. A run that goes on has begun with them, and needs no more than its next round does;
        it waits a while for the others, since what cut it off may have cut them off too.

        Raises:
            ConcordError: C401, when fewer can take part; it names each refusal.
        """
        goes_on = self.strategy.state.round_ > 0
        key, needed = ("min-replies", self.enough) if goes_on else ("min-nodes", self.config.min_nodes)
        if goes_on:
            self._wait_for_connected(self.config.min_nodes, min(RETURN_SECONDS, self.config.round_timeout))
        self._wait_for_connected(needed, self.config.round_timeout)
        self.strategy.admit(self.grid)
        members, refused = self.strategy.admission.members, self.strategy.admission.refused.values()
        told = self.folder.read_metrics()  # by a run that is resumed
        self._append([line for line in rejection_lines(refused, 0) if line not in told])
        if len(members) < needed:
            why = "; ".join(f"{r.node} refused ({r.reason}): {r.detail}" for r in refused) or "no node was refused"
            raise ConcordError(
                "C401",
                f"{len(members)} nodes can take part, {key} is {needed}. {why}",
                f"mend the nodes that were refused, start more, or lower {key}",
            )

    def _wait_for_connected(self, nodes: int, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while len(list(self.grid.get_node_ids())) < nodes and time.monotonic() < deadline:
            time.sleep(NODE_POLL)

    def wait_for_enough(self) -> None:
        """Waits, `round-timeout` at most, while fewer nodes are there than a round needs; those that are new may take part.

        A round without nodes is over at once, so all rounds that are left would pass in a moment of absence.
        """
        admission = self.strategy.admission
        self._admit_while(lambda: len(admission.present(self.grid)) < self.enough, self.config.round_timeout)

    def _admit_while(self, is_needed: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while is_needed() and time.monotonic() < deadline:
            self.strategy.admit(self.grid)
            time.sleep(NODE_POLL)

    def train_round(self, round_: int) -> None:
        """One round: ask, collect, check, average, write down, checkpoint."""
        started = time.monotonic()
        before = dict(self.strategy.admission.refused)
        self.wait_for_enough()
        messages = self.strategy.configure_train(round_, ArrayRecord(), ConfigRecord(), self.grid)
        self._tell_late(before, round_)
        outcome = self.strategy.aggregate(round_, exchange(self.grid, messages, self.config.round_timeout))
        seconds = time.monotonic() - started
        lines = outcome_lines(outcome, self.config, round_, seconds, len(self.anchors.concepts))
        lines[-1]["direction-gap"] = self._direction_gap(outcome)
        self._append([*semantic_lines(outcome, self.config, self.strategy.consensus.state(), round_), *lines])
        self.folder.sync_metrics()
        save_checkpoint(self.folder.checkpoint, self.strategy.state, self.strategy.consensus)

    def evaluate(self) -> Result:
        """The evaluate-only phase, and the final figures; ConcordError C407 where no reply counts, so that there are none."""
        started = time.monotonic()
        last = self.config.rounds + 1
        before = dict(self.strategy.admission.refused)
        self._wait_for_outdated(last)
        self.wait_for_enough()
        self._tell_late(before, last)
        messages = self.strategy.configure_final(last, self.grid)
        outcome = self.strategy.conclude(exchange(self.grid, messages, self.config.round_timeout))
        self._append(outcome_lines(outcome, self.config, last, time.monotonic() - started, len(self.anchors.concepts)))
        if not outcome.accepted:
            raise _unanswered(outcome)
        reports = [accepted.report for accepted in outcome.accepted]
        members = self.strategy.admission.members.values()
        return final_result(self.config, self.anchors, members, self.folder.read_metrics(), reports)

    def _wait_for_outdated(self, round_: int) -> None:
        """Waits a while for members that have other data than they said: there is no round after this for them to count in."""
        admission = self.strategy.admission
        self._admit_while(lambda: bool(admission.outdated(self.grid)), NEW_NODE_SECONDS)
        detail = "it has other data than it said, and has not answered the census since"
        self._append(rejection_lines([Rejection(n, Reason.NO_REPLY, detail) for n in admission.outdated(self.grid)], round_))

    def _direction_gap(self, outcome: Outcome) -> float | None:
        scale = self.config.adapter.alpha / self.config.adapter.rank
        return mean_direction_gap(self.layers, outcome.accepted, outcome.shares, scale)

    def _tell_late(self, before: Mapping[int, Rejection], round_: int) -> None:
        late = [r for node_id, r in self.strategy.admission.refused.items() if before.get(node_id) != r]
        self._append(rejection_lines(late, round_))

    def _append(self, lines: list[dict[str, Any]]) -> None:
        for line in lines:
            self.folder.append_metrics(line)


def open_run(config: RunConfig, grid: Grid) -> Run:
    """Prepares a run: checks settings, makes or finds its folder, warms the trunk up or takes up the checkpoint.

    Raises:
        ConcordError: before any training starts, when settings, data, anchors or the folder are not as they must be.
    """
    entry = check_method(config)
    anchors = run_anchors(config)
    unknown = set(config.adapter.ranks()) - set(anchors.modalities)
    if unknown:
        have = ", ".join(sorted(anchors.modalities))
        raise ConcordError("C103", f"adapter.rank-by-modality names {', '.join(sorted(unknown))}", f"choose from: {have}")
    width = model_width(config, anchors)
    folder = RunFolder(config.run_folder)
    folder.lock()
    folder.remove_unfinished()
    if config.resume:
        check_resumable(config, folder)
    folder.prepare(config)
    goes_on = config.resume and has_checkpoint(folder.checkpoint)
    begin = state_of_forwarding if entry.of_agents else state_of_graphs if config.of_graphs else initial_state
    state = GlobalState({}) if goes_on else begin(config, anchors)
    strategy = entry.strategy(config, anchors, state, width)
    if goes_on:
        strategy.state = load_checkpoint(folder.checkpoint, strategy.consensus)
        if strategy.state.round_ > config.rounds:
            done = f"{strategy.state.round_} rounds are done, and rounds is {config.rounds}"
            raise ConcordError("C402", done, f"set rounds to {strategy.state.round_} or more")
    if config.resume:
        folder.truncate_metrics(strategy.state.round_)
    message = f"resumed after round {strategy.state.round_}" if goes_on else ""
    folder.append_metrics({"scope": "run", "event": "started", "message": message})
    return Run(config, anchors, strategy, folder, grid)


def check_resumable(config: RunConfig, folder: RunFolder) -> None:
    """ConcordError C402 when the folder holds a run with other settings, `rounds` apart."""
    if not folder.config.exists():
        return
    before = parse_config(folder.read_config()).flat()
    other = [key for key, value in config.flat().items() if value != before[key] and key not in MAY_CHANGE]
    if other:
        changed = "; ".join(f"{key} was {before[key]!r}, is {config.flat()[key]!r}" for key in other)
        raise ConcordError("C402", f"{folder.path}: {changed}", "go on with the settings it was started with, or start anew")


def run_anchors(config: RunConfig) -> AnchorSet:
    """The run's public anchors: the folder that is named, or the suite's own, drawn by seed."""
    require_anchors(config)
    if config.anchors:
        anchors = load_anchors(Path(config.anchors))
        if config.suite in OF_FOLDERS:
            check_encoders(config, anchors)
        return anchors
    from client_app.data.federation import build_federation  # a second to import, and not needed beside anchors

    data = Path(config.data) if config.data else None
    pooled = METHODS[config.method].pooled  # as nodes in this process ask, so that a federation is dealt once
    return build_federation(config.suite, data, config.seed, config.scenario, pooled, config.encoders).anchors


def initial_state(config: RunConfig, anchors: AnchorSet) -> GlobalState:
    """The model before round 1: initial weights from the seed, and the trunk base after warm-up."""
    base = warm_up(config, anchors)
    model = MultimodalModel(config, sorted(anchors.modalities), len(anchors.concepts), base=base or None)
    groups = {name: {key: p.detach().clone() for key, p in group.items()} for name, group in model.groups().items()}
    encoders = {modality: identity_of(config, modality) for modality in anchors.modalities}
    if config.adapter_kind == "full":  # the warm trunk is a group like any other
        return GlobalState(groups, encoders=encoders)
    return GlobalState(groups, base, group_digest(base) if base else "", encoders)


def state_of_graphs(config: RunConfig, anchors: AnchorSet) -> GlobalState:
    """A network before round 1, without what is particular to encoders that each party has of its own."""
    network = build_network(config, feature_widths(anchors), len(anchors.concepts))
    own = {f"input.{modality}" for modality, samples in anchors.modalities.items() if not samples.x.shape[1]}
    groups = {name: group for name, group in network.groups().items() if name not in own}
    return GlobalState({name: {key: p.detach().clone() for key, p in group.items()} for name, group in groups.items()})


def state_of_forwarding(config: RunConfig, anchors: AnchorSet) -> GlobalState:
    """What a server knows that keeps no model: which encoders there are."""
    return GlobalState({}, encoders={modality: identity_of(config, modality) for modality in anchors.modalities})


def _unanswered(outcome: Outcome) -> ConcordError:
    why = "; ".join(f"{r.node} ({r.reason}): {r.detail}" for r in outcome.rejections) or "no node was there"
    hint = "mend the nodes; all rounds are in the checkpoint, and the same run goes on with `--resume` or `concord submit`"
    return ConcordError("C407", why, hint)
