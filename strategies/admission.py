"""Who takes part in a run: the census of the nodes, who was refused, and why."""

from __future__ import annotations

from collections.abc import Mapping
from logging import WARNING

from flwr.app import Message, MessageType, RecordDict
from flwr.common import log
from flwr.serverapp import Grid

from concord.anchors import AnchorSet
from concord.names import MOST_BYTES, shown
from concord.wire.messages import WireError
from concord.wire.records import message_from_record
from concord.wire.v1 import federation_pb2 as pb
from strategies.checks.census import check_census
from strategies.checks.rejection import Reason, Rejected, Rejection
from strategies.exchange import Exchange

NEW_NODE_SECONDS = 10.0  # the others wait so long for a node that is new or has other data, once; it may answer later


class Admission:
    """Asks nodes what they have, and lets them in or refuses them.

    Once somebody takes part, nobody holds a round up: a question stays open until it is answered, its answer counts in the
    next round. A node that was refused is asked once a round, for what was wrong may have been mended. A member that has other
    data by now than it said is asked likewise, and takes part again when it has answered.

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
        self._waited_for: set[int] = set()  # those of them for whose answer the others have waited
        self._replaced: set[int] = set()  # ids of nodes that came back under another one
        self._open: list[Exchange] = []

    def present(self, grid: Grid) -> list[int]:
        """Ids of the nodes that can take part now, by name."""
        there = set(grid.get_node_ids()) - self._outdated
        return [node_id for node_id in self.members if node_id in there]

    def outdated(self, grid: Grid) -> list[str]:
        """Names of the members that are there, and have other data by now than they said."""
        there = set(grid.get_node_ids()) & self._outdated
        return [census.node for node_id, census in self.members.items() if node_id in there]

    def ask_anew(self, node_id: int) -> None:
        """Lets a member answer the census again before it is asked for more: what it has is no longer what it said."""
        self._outdated.add(node_id)

    def update(self, grid: Grid, round_: int, encoders: Mapping[str, str]) -> list[int]:
        """Asks who is new, was refused or has other data by now, and takes the answers that are there; ids of whom it lets in.

        Args:
            grid: where the nodes are.
            round_: the last round that is finished.
            encoders: encoder that the model expects, by modality.
        """
        waited_for = {node_id for exchange in self._open for node_id in exchange.waits_for}
        ask = [i for i in grid.get_node_ids() if i not in waited_for and self._is_to_be_asked(i, round_)]
        if ask:
            new, outdated = set(ask) - self._asked_in.keys(), set(ask) & self._outdated
            unmet = new | (outdated - self._waited_for)
            patience = self._timeout if not self.members else NEW_NODE_SECONDS if unmet else 0.0
            self._waited_for |= outdated
            self._replaced -= set(ask)  # it is back as itself
            self._asked_in |= dict.fromkeys(ask, round_)
            self._open.append(Exchange(grid, [_question(node_id, self._timeout) for node_id in ask], self._timeout))
            self._open[-1].wait(patience)
        there = set(grid.get_node_ids())
        answers = sorted(self._answers().items())  # not in the order of arrival, which is no order
        let_in = {node_id for node_id, reply in answers if self._lets_in(node_id, reply, there, encoders)}
        self.members = dict(sorted(self.members.items(), key=lambda item: item[1].node))
        return [node_id for node_id in self.members if node_id in let_in]

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

    def _lets_in(self, node_id: int, reply: Message | None, there: set[int], encoders: Mapping[str, str]) -> bool:
        """Whether a node takes part by what it answered; a member that does not stays one, and is not asked for more."""
        if node_id in self._replaced:
            return False  # it came back under another id while its answer was awaited
        try:
            census = _read_census(reply)
            others = [c for i, c in self.members.items() if i in there and i != node_id]
            check_census(census, self._anchors, encoders, others)
            if node_id in self.members and census.node != self.members[node_id].node:
                raise Rejected(Reason.OTHER_NODE, f"it was {self.members[node_id].node!r} before")
        except Rejected as rejected:
            refusal = Rejection(self._name_of(node_id, reply), rejected.reason, rejected.detail)
            if self.refused.get(node_id) != refusal:
                log(WARNING, "refused %s: %s: %s", refusal.node, refusal.reason, refusal.detail)
            self.refused[node_id] = refusal
            return False
        # a node that came back under another id takes the place of the one that is gone
        gone = {i for i, c in self.members.items() if c.node == census.node and i != node_id}
        self.members = {i: c for i, c in self.members.items() if i not in gone} | {node_id: census}
        self.refused = {i: refusal for i, refusal in self.refused.items() if i not in {node_id, *gone}}
        self._replaced |= gone
        self._outdated -= {node_id, *gone}
        self._waited_for &= self._outdated
        return True

    def _name_of(self, node_id: int, reply: Message | None) -> str:
        if node_id in self.members:
            return self.members[node_id].node
        try:
            return shown(_read_census(reply).node, MOST_BYTES) or f"node {node_id}"
        except Rejected:
            return f"node {node_id}"


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
