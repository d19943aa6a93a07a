"""Who takes part in a run: the census of the nodes, who was refused, and why."""

from __future__ import annotations

from collections.abc import Mapping
from logging import WARNING

from flwr.app import Message, MessageType, RecordDict
from flwr.common import log
from flwr.serverapp import Grid

from concord.anchors import AnchorSet
from concord.wire.messages import WireError
from concord.wire.records import message_from_record
from concord.wire.v1 import federation_pb2 as pb
from strategies.checks.census import check_census
from strategies.checks.rejection import Reason, Rejected, Rejection
from strategies.exchange import Exchange

NEW_NODE_SECONDS = 10.0  # the others wait so long for a node that is new, once; it may answer later


class Admission:
    """Asks nodes what they have, and lets them in or refuses them.

    Once somebody takes part, nobody holds a round up: a question stays open until it is answered, its answer counts in the
    next round. A node that was refused is asked once a round, for what was wrong may have been mended.

    Args:
        anchors: the run's public anchors.
        timeout: seconds that a node has to answer.
    """

    def __init__(self, anchors: AnchorSet, timeout: float) -> None:
        self.members: dict[int, pb.Census] = {}
        self.refused: dict[int, Rejection] = {}
        self._anchors, self._timeout = anchors, timeout
        self._asked_in: dict[int, int] = {}  # by node id: the round that was finished when it was asked last
        self._outdated: set[int] = set()  # ids of members that have other data by now than they said
        self._open: list[Exchange] = []

    def present(self, grid: Grid) -> list[int]:
        """Ids of the nodes that take part and are there now, by name."""
        there = set(grid.get_node_ids())
        return [node_id for node_id in self.members if node_id in there]

    def ask_anew(self, node_id: int) -> None:
        """Asks a member again before the next round: what it has is no longer what it said."""
        self._outdated.add(node_id)
        self._asked_in.pop(node_id, None)

    def update(self, grid: Grid, round_: int, encoders: Mapping[str, str]) -> list[int]:
        """Asks who is new, was refused or has other data by now, and takes the answers that are there; ids of the new members.

        Args:
            grid: where the nodes are.
            round_: the last round that is finished.
            encoders: encoder that the model expects, by modality.
        """
        waited_for = {node_id for exchange in self._open for node_id in exchange.waits_for}
        ask = [i for i in grid.get_node_ids() if i not in waited_for and self._is_to_be_asked(i, round_)]
        if ask:
            nobody_new = all(i in self._asked_in for i in ask)
            patience = self._timeout if not self.members else 0.0 if nobody_new else NEW_NODE_SECONDS
            self._asked_in |= dict.fromkeys(ask, round_)
            self._open.append(Exchange(grid, [_question(node_id, self._timeout) for node_id in ask], self._timeout))
            self._open[-1].wait(patience)
        before = set(self.members)
        there = set(grid.get_node_ids())
        for node_id, reply in sorted(self._answers().items()):  # not in the order of arrival, which is no order
            self._decide(node_id, reply, there, encoders)
        self.members = dict(sorted(self.members.items(), key=lambda item: item[1].node))
        return [node_id for node_id in self.members if node_id not in before]

    def _is_to_be_asked(self, node_id: int, round_: int) -> bool:
        is_known = node_id in self.members and node_id not in self._outdated
        return not is_known and self._asked_in.get(node_id, -1) < round_

    def _answers(self) -> dict[int, Message | None]:
        """What came since the last look, None for a node whose time to answer is over; closes what nothing can come of."""
        still_open = [exchange for exchange in self._open if exchange.waits_for]  # before: time may run out in between
        answers: dict[int, Message | None] = {}
        for exchange in self._open:
            answers |= exchange.take()
        self._open = still_open
        return answers

    def _decide(self, node_id: int, reply: Message | None, there: set[int], encoders: Mapping[str, str]) -> None:
        try:
            census = _read_census(reply)
            others = [c for i, c in self.members.items() if i in there and i != node_id]
            check_census(census, self._anchors, encoders, others)
        except Rejected as rejected:
            refusal = Rejection(_name_of(reply) or f"node {node_id}", rejected.reason, rejected.detail)
            if self.refused.get(node_id) != refusal:
                log(WARNING, "refused %s: %s: %s", refusal.node, refusal.reason, refusal.detail)
            self.refused[node_id] = refusal
            if reply is not None:  # a member that is silent may still be busy
                self.members.pop(node_id, None)
        else:  # a node that came back under another id takes the place of the one that is gone
            self.refused.pop(node_id, None)
            self._outdated.discard(node_id)
            self.members = {i: c for i, c in self.members.items() if c.node != census.node} | {node_id: census}


def _question(node_id: int, timeout: float) -> Message:
    return Message(RecordDict(), dst_node_id=node_id, message_type=f"{MessageType.QUERY}.census", ttl=timeout)


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
