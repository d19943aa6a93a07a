"""What an agent writes down of each round: pure functions to lines of its ``metrics.jsonl``.

Scopes: ``run`` (started, finished), ``round``, ``link`` (a neighbour in a round), ``delivery`` (what was sent and arrived, or
did not, after its round), ``figure`` (a prediction on a split) and ``member`` (who came, was refused, left or returned).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass

from client_app.agents.agent import Heard
from concord.run_folder import Line
from concord.wire.v1 import federation_pb2 as pb
from peer_app.neighbours import Answer

UNDER_WAY = "under way"


@dataclass(frozen=True)
class Delivery:
    """What was said to a neighbour in a round.

    Attributes:
        size: in bytes.
        answer: there once it has ended.
    """

    round_: int
    neighbour: str
    size: int
    answer: Future[Answer[pb.Receipt]]

    @property
    def receipt(self) -> pb.Receipt | None:
        """What the neighbour answered; None until it has, and where it did not."""
        return self.answer.result().message if self.answer.done() else None


def round_line(round_: int, rounds: int, seconds: float, losses: Mapping[str, float], links: Iterable[Line], there: int) -> Line:
    """A round as a whole.

    Args:
        links: what travelled since the round before, as lines.
        there: other agents that are known to be there.
    """
    links = list(links)
    return {
        "scope": "round",
        "round": round_,
        "rounds": rounds,
        "seconds": seconds,
        "losses": dict(losses),
        "bytes-up": sum(line["bytes-up"] for line in links),
        "bytes-down": sum(line.get("bytes-down", 0) for line in links),
        "agents": there,
    }


def link_lines(round_: int, heard: Iterable[Heard], ended: Iterable[Delivery]) -> list[Line]:
    """What came of each neighbour, and of what was sent to it; of earlier rounds, what has only ended now."""
    ended = list(ended)
    now = {delivery.neighbour: _sent(delivery) for delivery in ended if delivery.round_ == round_}
    lines = [
        {
            "scope": "link",
            "round": round_,
            "neighbour": h.neighbour,
            "received": h.outcome,
            **now.get(h.neighbour, {"sent": UNDER_WAY, "bytes-up": 0}),
            "bytes-down": h.bytes_received,
        }
        for h in heard
    ]
    return lines + delivery_lines(delivery for delivery in ended if delivery.round_ != round_)


def delivery_lines(ended: Iterable[Delivery]) -> list[Line]:
    """What was still under way when its round was written down."""
    return [{"scope": "delivery", "round": d.round_, "neighbour": d.neighbour, **_sent(d)} for d in ended]


def figure_lines(round_: int, evaluations: Iterable[pb.Evaluation]) -> list[Line]:
    """How well the agent predicts after a round."""
    return [
        {
            "scope": "figure",
            "round": round_,
            "name": e.modality,
            "split": e.split,
            "accuracy": e.correct / e.examples,
            "loss": e.loss_sum / e.examples,
            "examples": e.examples,
        }
        for e in evaluations
        if e.examples
    ]


def member_line(round_: int, agent: str, event: str, detail: str = "") -> Line:
    """Something that happened to another agent, as seen from here."""
    return {"scope": "member", "round": round_, "agent": agent, "event": event, "detail": detail}


def _sent(delivery: Delivery) -> Line:
    """How a delivery ended. Only bytes that the neighbour has answered are known to have arrived."""
    receipt = delivery.receipt
    if receipt is None:
        return {"sent": str(delivery.answer.result()), "bytes-up": 0}
    return {"sent": pb.Verdict.Name(receipt.verdict).removeprefix("VERDICT_").lower(), "bytes-up": delivery.size}
