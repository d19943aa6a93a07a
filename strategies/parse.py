"""PARSE (Shi et al., arXiv 2601.10012) for agents that can only open outgoing connections: a server that forwards.

What an agent says to its neighbours in a round goes up as parcels, and comes down to them with the next round. The server
draws the overlay from the census of those who are there, and keeps no model: only what is on its way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from logging import WARNING

import torch
from flwr.app import Message
from flwr.common import log
from torch import Tensor

from concord.agreement import Agreement, agree, links_to_wire
from concord.anchors import AnchorSet
from concord.config import RunConfig
from concord.kinds import figures_of, kind_of
from concord.wire.messages import encode
from concord.wire.slices import most_bytes
from concord.wire.v1 import federation_pb2 as pb
from strategies.checks.rejection import Reason, Rejected, Rejection
from strategies.checks.reply import Accepted
from strategies.consensus import Consensus
from strategies.plan import NoGroups
from strategies.state import GlobalState, Outcome
from strategies.strategy import ConcordStrategy


class Mail(Consensus):
    """What agents said in a round, by receiver and sender, until the next round takes it to them.

    Attributes:
        agreement: of the round that is asked for: who exchanges what with whom.
    """

    needs_variance = False

    def __init__(self) -> None:
        self.agreement = Agreement({})
        self._letters: dict[str, dict[str, pb.SliceUpdate]] = {}

    def update(self, reports: Sequence[pb.Report]) -> None:
        self._letters = {}
        for report in reports:
            for parcel in report.parcels:
                for receiver in parcel.to:
                    self._letters.setdefault(receiver, {})[report.node] = parcel.update

    def write(self, instruction: pb.Instruction, node: str) -> None:
        if instruction.phase == pb.PHASE_TRAIN:
            instruction.links.extend(links_to_wire(self.agreement.links(node)))
        letters = self._letters.get(node, {})
        instruction.received.extend(letters[sender] for sender in sorted(letters))

    def state(self) -> dict[str, Tensor]:
        reports = {
            sender: pb.Report(node=sender, parcels=[pb.Parcel(to=[to], update=update) for to, update in said.items()])
            for sender, said in _by_sender(self._letters).items()
        }
        return {sender: torch.frombuffer(bytearray(encode(report)), dtype=torch.uint8) for sender, report in reports.items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        self.update([pb.Report.FromString(state[sender].numpy().tobytes()) for sender in sorted(state)])


class Forwarding(ConcordStrategy):
    """Takes what agents say to their neighbours; averages nothing."""

    def __init__(self, config: RunConfig, anchors: AnchorSet, state: GlobalState, width: int) -> None:
        self.mail = Mail()
        super().__init__(config, anchors, state, plan=NoGroups(), rule=None, consensus=self.mail, width=width)

    def figures(self, census: pb.Census) -> frozenset[str]:
        return figures_of(kind_of([holding.modality for holding in census.holdings]))

    def check(self, replies: Mapping[int, Message]) -> tuple[list[Accepted], list[Rejection]]:
        """Also leaves out who says something to whom it has no link, or more than the link carries."""
        accepted, rejections = super().check(replies)
        sound = []
        for reply in accepted:
            try:
                self._check_parcels(reply)
                sound.append(reply)
            except Rejected as rejected:
                rejections.append(Rejection(reply.census.node, rejected.reason, rejected.detail))
                log(WARNING, "left out %s: %s: %s", reply.census.node, rejected.reason, rejected.detail)
        return sound, rejections

    def aggregate(self, server_round: int, replies: Mapping[int, Message]) -> Outcome:
        """Also forgets what was said before where too few replied: it is of a round that is over."""
        outcome = super().aggregate(server_round, replies)
        if outcome.kept_old_model:
            self.mail.update([])
        return outcome

    def _instruct(self, round_: int, phase: pb.Phase.ValueType, node_ids: Sequence[int]) -> list[Message]:
        known = self.mail.agreement.mismatches
        self.mail.agreement = agree({c.node: c.slices for c in map(self.admission.members.__getitem__, node_ids)}, self.config)
        for mismatch in set(self.mail.agreement.mismatches.values()) - set(known.values()):
            log(WARNING, "not exchanged by all: %s", mismatch)
        return super()._instruct(round_, phase, node_ids)

    def _check_parcels(self, reply: Accepted) -> None:
        if len(reply.report.outcomes) > len(self.admission.members):
            raise Rejected(
                Reason.UNDECODABLE, f"what came of {len(reply.report.outcomes)} neighbours, more than there are agents"
            )
        links = self.mail.agreement.links(reply.census.node)
        sizes = {m.group: sum(math.prod(spec.shape) for spec in m.tensors) for m in reply.census.slices}
        said: set[str] = set()
        for parcel in reply.report.parcels:
            if (parcel.update.agent, parcel.update.round) != (reply.report.node, reply.report.round):
                raise Rejected(Reason.OTHER_NODE, f"a parcel of {parcel.update.agent[:80]!r}, round {parcel.update.round}")
            for receiver in parcel.to:
                if receiver not in links or receiver in said:
                    raise Rejected(Reason.UNKNOWN_GROUP, f"a parcel for {receiver[:80]!r}, which it does not expect")
                said.add(receiver)
                most = most_bytes({s.slice: sizes[s.slice] for s in links[receiver]}, self.config.overlay.budget)
                size = parcel.update.ByteSize()
                if size > most:
                    raise Rejected(Reason.WRONG_SHAPE, f"a parcel of {size} bytes for {receiver!r}, the link carries {most}")


def _by_sender(letters: Mapping[str, Mapping[str, pb.SliceUpdate]]) -> dict[str, dict[str, pb.SliceUpdate]]:
    said: dict[str, dict[str, pb.SliceUpdate]] = {}
    for receiver, by_sender in letters.items():
        for sender, update in by_sender.items():
            said.setdefault(sender, {})[receiver] = update
    return said
