"""The strategy that every method is put together from: plan, validation, rule and consensus, in this order.

A round is one message a node: the node evaluates the model that came in, then trains, and replies with both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from logging import INFO, WARNING

import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.common import log
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy
from torch import Tensor

from concord.anchors import AnchorSet
from concord.config import RunConfig
from concord.wire.groups import manifest_of, pack, shapes_of
from concord.wire.messages import SCHEMA_VERSION, WireError
from concord.wire.records import BASE, message_from_record, record_bytes, to_record
from concord.wire.v1 import federation_pb2 as pb
from strategies.consensus import Consensus
from strategies.exchange import exchange
from strategies.plan import Plan
from strategies.rank import at_rank
from strategies.rules import Rule, Update
from strategies.state import GlobalState, Outcome
from strategies.validation import Accepted, Expectation, Reason, Rejected, Rejection, check_census, read_reply

LATE_CENSUS_SECONDS = 60.0  # a node that comes late may answer for so long while the others wait
LONGEST_BACK_OFF = 8  # rounds
MAY_PASS = (Reason.NO_REPLY, Reason.NODE_ERROR, Reason.UNDECODABLE)  # reasons that another try may remove


class ConcordStrategy(Strategy):
    """Orders the parts of a method; the mathematics is in them.

    Args:
        config: the run.
        anchors: the run's public anchors.
        state: the model to start from.
        plan: who is asked for which groups.
        rule: how a group is averaged; None for methods that average nothing.
        consensus: what else is agreed on.
        width: dimension of the shared space.
    """

    def __init__(
        self,
        config: RunConfig,
        anchors: AnchorSet,
        state: GlobalState,
        *,
        plan: Plan,
        rule: Rule | None,
        consensus: Consensus,
        width: int,
    ) -> None:
        self.config, self.anchors, self.state, self.width = config, anchors, state, width
        self.plan, self.rule, self.consensus = plan, rule, consensus
        self.census: dict[int, pb.Census] = {}
        self.refused: dict[int, Rejection] = {}
        self.outcome: Outcome | None = None
        self._with_base: set[int] = set()
        self._failures: dict[int, int] = {}  # of the census, in a row
        self._ask_after: dict[int, int] = {}  # the round that must be finished before a node is asked again
        self._expected: dict[int, Expectation] = {}
        self._bytes_down: dict[int, int] = {}
        self._asked: list[Message] = []

    @property
    def needs_variance(self) -> bool:
        """Whether nodes are asked for their predictive variance."""
        return self.consensus.needs_variance or (self.rule is not None and self.rule.needs_variance)

    def take_census(self, grid: Grid) -> None:
        """Asks nodes that are new for what they have; those that cannot take part are refused with a reason.

        Nodes that take part already do not wait long for a new one that hangs, nor every round for one that is broken: after
        its n-th failure it is asked again when 2^(n-1) more rounds are done, `LONGEST_BACK_OFF` at most.
        """
        present = set(grid.get_node_ids())
        new = [i for i in grid.get_node_ids() if i not in self.census and self._is_to_be_asked(i)]
        if not new:
            return
        timeout = min(LATE_CENSUS_SECONDS, self.config.round_timeout) if self.census else self.config.round_timeout
        messages = [
            Message(RecordDict(), dst_node_id=node_id, message_type=f"{MessageType.QUERY}.census", ttl=timeout) for node_id in new
        ]
        replies = exchange(grid, messages, timeout)
        for node_id in new:  # not in the order of arrival, which is no order
            try:
                census = _read_census(replies.get(node_id))
                check_census(census, self.anchors, self.state.encoders, [c for i, c in self.census.items() if i in present])
            except Rejected as rejected:
                name = _name_of(replies.get(node_id)) or f"node {node_id}"
                self.refused[node_id] = Rejection(name, rejected.reason, rejected.detail)
                self._back_off(node_id)
                log(WARNING, "refused %s: %s: %s", name, rejected.reason, rejected.detail)
            else:  # a node that came back under another id takes the place of the one that is gone
                for table in (self.refused, self._failures, self._ask_after):
                    table.pop(node_id, None)
                self.census = {i: c for i, c in self.census.items() if c.node != census.node} | {node_id: census}
                if census.base_digest == self.state.base_digest:
                    self._with_base.add(node_id)
        self.census = dict(sorted(self.census.items(), key=lambda item: item[1].node))

    def _is_to_be_asked(self, node_id: int) -> bool:
        """Whether to ask (again): not when what the node said does not fit, and after a failed answer not at once."""
        if node_id not in self.refused:
            return True
        return self.refused[node_id].reason in MAY_PASS and self.state.round_ >= self._ask_after[node_id]

    def _back_off(self, node_id: int) -> None:
        self._failures[node_id] = self._failures.get(node_id, 0) + 1
        self._ask_after[node_id] = self.state.round_ + min(LONGEST_BACK_OFF, 2 ** (self._failures[node_id] - 1))

    def present(self, grid: Grid) -> list[int]:
        """Ids of the nodes that take part and are there now, by name."""
        there = set(grid.get_node_ids())
        return [node_id for node_id in self.census if node_id in there]

    def configure_train(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid) -> list[Message]:
        """Messages of a training round. The model is the strategy's own state; `arrays` and `config` are not read."""
        self.take_census(grid)
        return self._instruct(server_round, pb.PHASE_TRAIN, self.present(grid))

    def configure_evaluate(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid) -> list[Message]:
        """No messages: a training round evaluates what comes in. See `configure_final`."""
        return []

    def configure_final(self, server_round: int, grid: Grid) -> list[Message]:
        """Messages of the evaluate-only phase that ends a run."""
        return self._instruct(server_round, pb.PHASE_EVALUATE, self.present(grid))

    def aggregate_train(self, server_round: int, replies: Iterable[Message]) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Averages replies as Flower hands them over; see `aggregate`.

        Errors that the SuperLink makes do not come from the node's id, so replies are matched by the message they answer.
        """
        asked = {message.metadata.message_id: message.metadata.dst_node_id for message in self._asked}
        known = {asked.get(reply.metadata.reply_to_message_id, 0): reply for reply in replies}
        outcome = self.aggregate(server_round, known)
        return (None if outcome.kept_old_model else self.arrays()), MetricRecord({"replies": len(outcome.accepted)})

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Nothing: there are no separate evaluation rounds."""
        return None

    def aggregate(self, server_round: int, replies: Mapping[int, Message]) -> Outcome:
        """Checks the replies of a training round and averages each group over those who sent it."""
        accepted, rejections = self.check(replies)
        enough = len(accepted) >= self.config.min_replies
        shares: dict[str, dict[str, float]] = {}
        ratios: list[float] = []
        if enough:
            self.state.groups, shares, ratios = self._average(accepted)
            self.consensus.update([a.report for a in accepted])
            self.state.counted |= dict.fromkeys((a.census.node for a in accepted), server_round)
        else:
            log(
                WARNING,
                "round %d: %d good replies, %d needed: the old model stays",
                server_round,
                len(accepted),
                self.config.min_replies,
            )
        self.state.round_ = server_round
        self.outcome = self._outcome(accepted, rejections, replies, shares, ratios, kept_old_model=not enough)
        return self.outcome

    def check(self, replies: Mapping[int, Message]) -> tuple[list[Accepted], list[Rejection]]:
        """Sorts the replies of the nodes that were asked into good ones and rejections, ordered by name."""
        accepted: list[Accepted] = []
        rejections: list[Rejection] = []
        for node_id, expected in self._expected.items():
            try:
                if node_id not in replies:
                    raise Rejected(Reason.NO_REPLY, f"nothing within {self.config.round_timeout:.0f} s")
                accepted.append(read_reply(replies[node_id], expected))
                self._with_base.add(node_id)
            except Rejected as rejected:
                rejections.append(Rejection(expected.census.node, rejected.reason, rejected.detail))
                log(WARNING, "left out %s: %s: %s", expected.census.node, rejected.reason, rejected.detail)
                self._with_base.discard(node_id)
        return accepted, rejections

    def conclude(self, replies: Mapping[int, Message]) -> Outcome:
        """Checks the replies of the evaluate-only phase."""
        accepted, rejections = self.check(replies)
        self.outcome = self._outcome(accepted, rejections, replies, {}, [], kept_old_model=False)
        return self.outcome

    def arrays(self) -> ArrayRecord:
        """All groups, one flat array each."""
        return ArrayRecord({name: Array(pack(group)) for name, group in self.state.groups.items()})

    def summary(self) -> None:
        """Logs what the strategy is made of."""
        rule = type(self.rule).__name__ if self.rule else "none"
        log(INFO, "\t├──> %s: rule %s, consensus %s", type(self).__name__, rule, type(self.consensus).__name__)

    def _instruct(self, round_: int, phase: pb.Phase.ValueType, node_ids: Sequence[int]) -> list[Message]:
        self._expected, self._bytes_down = {}, {}
        action = f"{MessageType.TRAIN}.round" if phase == pb.PHASE_TRAIN else f"{MessageType.EVALUATE}.final"
        messages = []
        for node_id in node_ids:
            census = self.census[node_id]
            record, sent = self._request(round_, phase, census, with_base=node_id not in self._with_base)
            self._bytes_down[node_id] = record_bytes(record)
            self._expected[node_id] = Expectation(
                census,
                round_,
                sent if phase == pb.PHASE_TRAIN else {},
                self.anchors,
                self.width,
                self.config.aggregation.norm_bound,
                self.needs_variance,
                sparse=self.config.update_values != "dense",
            )
            messages.append(
                Message(record, dst_node_id=node_id, message_type=action, ttl=self.config.round_timeout, group_id=str(round_))
            )
        self._asked = messages
        return messages

    def _request(
        self, round_: int, phase: pb.Phase.ValueType, census: pb.Census, *, with_base: bool
    ) -> tuple[RecordDict, dict[str, dict[str, Tensor]]]:
        modalities = [holding.modality for holding in census.holdings]
        rank = self.config.rank_of(modalities)
        sent = {name: at_rank(self.state.groups[name], rank) for name in self.plan.groups_for(census, self.state.groups)}
        travelling = dict(sent)
        if self.state.base and with_base:
            travelling[BASE] = self.state.base
        instruction = pb.Instruction(
            schema_version=SCHEMA_VERSION,
            round=round_,
            phase=phase,
            anchor_digest=self.anchors.digest,
            base_digest=self.state.base_digest,
            groups=[manifest_of(name, shapes_of(group)) for name, group in travelling.items()],
            want_variance=self.needs_variance,
            run_token=self.state.token,
            last_counted=self.state.counted.get(census.node, 0),
        )
        self.consensus.write(instruction)
        return to_record(instruction, {name: pack(group) for name, group in travelling.items()}), sent

    def _average(
        self, accepted: Sequence[Accepted]
    ) -> tuple[dict[str, dict[str, Tensor]], dict[str, dict[str, float]], list[float]]:
        """The new groups, the share of each node in each of them, and the norm ratios that the rule tells."""
        groups, shares, ratios = dict(self.state.groups), {}, []
        for name, current in self.state.groups.items():
            updates = [_update_of(a, name) for a in accepted if name in a.groups or name in a.sparse]
            if self.rule is None or not updates:
                continue
            with torch.no_grad():
                average = self.rule.average(current, updates)
            groups[name] = average.tensors
            shares[name] = {u.node: s for u, s in zip(updates, average.shares_K.tolist(), strict=True)}
            ratios += [] if average.norm_ratio is None else [average.norm_ratio]
        return groups, shares, ratios

    def _outcome(
        self,
        accepted: Sequence[Accepted],
        rejections: Sequence[Rejection],
        replies: Mapping[int, Message],
        shares: Mapping[str, Mapping[str, float]],
        ratios: Sequence[float],
        *,
        kept_old_model: bool,
    ) -> Outcome:
        names = {node_id: expected.census.node for node_id, expected in self._expected.items()}
        up = {names[i]: record_bytes(r.content) for i, r in replies.items() if i in names and r.has_content()}
        down = {names[i]: size for i, size in self._bytes_down.items()}
        return Outcome(tuple(names.values()), tuple(accepted), tuple(rejections), shares, kept_old_model, down, up, tuple(ratios))


def _update_of(accepted: Accepted, group: str) -> Update:
    claim = next(c for c in accepted.report.groups if c.manifest.group == group)
    return Update(
        accepted.census.node, accepted.groups.get(group, {}), claim.examples, claim.variance, accepted.sparse.get(group)
    )


def _read_census(reply: Message | None) -> pb.Census:
    if reply is None:
        raise Rejected(Reason.NO_REPLY, "no answer to the census")
    if reply.has_error():
        raise Rejected(Reason.NODE_ERROR, f"code {reply.error.code}: {reply.error.reason}")
    try:
        return message_from_record(pb.Census, reply.content)
    except WireError as error:
        raise Rejected(Reason.UNDECODABLE, error.message) from error


def _name_of(reply: Message | None) -> str:
    try:
        return _read_census(reply).node
    except Rejected:
        return ""
