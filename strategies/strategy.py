"""The strategy that every method is put together from: plan, validation, rule and consensus, in this order.

A round is one message a node: the node evaluates the model that came in, then trains, and replies with both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import permutations
from logging import INFO, WARNING

import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.common import log
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy
from torch import Tensor

from concord.anchors import AnchorSet
from concord.config import RunConfig
from concord.graphs import LINKS, direction
from concord.kinds import without
from concord.samples import FUSED
from concord.wire.groups import manifest_of, modality_of, pack, shapes_of
from concord.wire.messages import SCHEMA_VERSION
from concord.wire.records import BASE, record_bytes, to_record
from concord.wire.v1 import federation_pb2 as pb
from strategies.admission import Admission
from strategies.checks.expectation import Expectation
from strategies.checks.rejection import Reason, Rejected, Rejection
from strategies.checks.reply import Accepted, read_reply
from strategies.consensus import Consensus
from strategies.plan import Plan
from strategies.rank import at_rank
from strategies.rules import Rule
from strategies.state import GlobalState, Outcome
from strategies.updates import joined, parted, update_of


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
        self.admission = Admission(anchors, config.round_timeout)
        self.outcome: Outcome | None = None
        self._with_base: set[int] = set()
        self._expected: dict[int, Expectation] = {}
        self._bytes_down: dict[int, int] = {}
        self._asked: list[Message] = []

    @property
    def needs_variance(self) -> bool:
        """Whether nodes are asked for their predictive variance."""
        return self.consensus.needs_variance or (self.rule is not None and self.rule.needs_variance)

    def figures(self, census: pb.Census) -> frozenset[str]:
        """Names under which a node may report how well it predicts."""
        held = [holding.modality for holding in census.holdings]
        return frozenset({FUSED, *((without(FUSED, m) for m in held) if self.config.of_graphs else held)})

    def questions(self, census: pb.Census) -> frozenset[str]:
        """Kinds of questions that a node may report the ranks of answers to."""
        held = [holding.modality for holding in census.holdings]
        match self.config.task:
            case "classes":
                return frozenset()
            case "links":
                return frozenset({LINKS})
            case "retrieval":
                return frozenset(direction(*pair) for pair in permutations(held, 2))

    @property
    def tells_prototypes(self) -> bool:
        """Whether nodes tell class prototypes."""
        return False

    @property
    def semantic(self) -> tuple[int, int] | None:
        """Anchors and width of the shared space of a graph, where parties tell of it."""
        return None

    def admit(self, grid: Grid) -> None:
        """Takes the census of nodes that are new; see `Admission`."""
        for node_id in self.admission.update(grid, self.state.round_, self.state.encoders):
            if self.admission.members[node_id].base_digest == self.state.base_digest:
                self._with_base.add(node_id)

    def configure_train(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid) -> list[Message]:
        """Messages of a training round. The model is the strategy's own state; `arrays` and `config` are not read."""
        self.admit(grid)
        return self._instruct(server_round, pb.PHASE_TRAIN, self.admission.present(grid))

    def configure_evaluate(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid) -> list[Message]:
        """No messages: a training round evaluates what comes in. See `configure_final`."""
        return []

    def configure_final(self, server_round: int, grid: Grid) -> list[Message]:
        """Messages of the evaluate-only phase that ends a run."""
        return self._instruct(server_round, pb.PHASE_EVALUATE, self.admission.present(grid))

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
                if rejected.reason in (Reason.CLAIMED_EXAMPLES, Reason.UNKNOWN_MODALITY):  # its data may have grown
                    self.admission.ask_anew(node_id)
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
            census = self.admission.members[node_id]
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
                figures=self.figures(census),
                questions=self.questions(census),
                shares_embeddings=phase == pb.PHASE_EVALUATE and self.config.share_test_embeddings,
                tells_prototypes=phase == pb.PHASE_TRAIN and self.tells_prototypes,
                semantic=self.semantic,
                tells_class_means=phase == pb.PHASE_TRAIN and self.config.grounds_classes,
                tells_homophily=phase == pb.PHASE_EVALUATE and self.config.controls_homophily,
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
        self.consensus.write(instruction, census.node)
        return to_record(instruction, {name: pack(group) for name, group in travelling.items()}), sent

    def _average(
        self, accepted: Sequence[Accepted]
    ) -> tuple[dict[str, dict[str, Tensor]], dict[str, dict[str, float]], list[float]]:
        """The new groups, the share of each node in each of them, and the norm ratios that the rule tells."""
        groups = dict(self.state.groups)
        shares: dict[str, dict[str, float]] = {}
        ratios: list[float] = []
        if self.rule is None:
            return groups, shares, ratios
        for names in self._averaged_together(self.rule):
            current = {name: self.state.groups[name] for name in names}
            updates = [update for a in accepted if (update := update_of(a, current)) is not None]
            if not updates:
                continue
            with torch.no_grad():
                average = self.rule.average(joined(current), updates)
            groups |= parted(average.tensors)
            share_of = {u.node: s for u, s in zip(updates, average.shares_K.tolist(), strict=True)}
            shares |= {name: dict(share_of) for name in names}
            ratios += [] if average.norm_ratio is None else [average.norm_ratio]
        return groups, shares, ratios

    def _averaged_together(self, rule: Rule) -> Iterable[list[str]]:
        """Names of the groups, those of a modality together where the rule wants it so."""
        together: dict[str, list[str]] = defaultdict(list)
        for name in self.state.groups:
            together[(modality_of(name) if rule.by_modality else "") or name].append(name)
        return together.values()

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
