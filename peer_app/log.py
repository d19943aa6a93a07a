"""What an agent writes down of each round: pure functions to lines of its ``metrics.jsonl``.

Scopes: ``run`` (started, finished), ``round``, ``link`` (a neighbour in a round), ``figure`` (a prediction on a split) and
``member`` (who came, was refused, left or returned).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from client_app.agents.agent import Heard
from concord.run_folder import Line
from concord.wire.v1 import federation_pb2 as pb


def round_line(round_: int, rounds: int, seconds: float, losses: Mapping[str, float], heard: Iterable[Heard], there: int) -> Line:
    """A round as a whole; `there` other agents are known to be there."""
    heard = list(heard)
    return {
        "scope": "round",
        "round": round_,
        "rounds": rounds,
        "seconds": seconds,
        "losses": dict(losses),
        "bytes-up": sum(h.bytes_sent for h in heard),
        "bytes-down": sum(h.bytes_received for h in heard),
        "agents": there,
    }


def link_lines(round_: int, heard: Iterable[Heard], deliveries: Mapping[str, str]) -> list[Line]:
    """What came of each neighbour, and of what was sent to it."""
    return [
        {
            "scope": "link",
            "round": round_,
            "neighbour": h.neighbour,
            "received": h.outcome,
            "sent": deliveries.get(h.neighbour, "under way"),
            "bytes-up": h.bytes_sent,
            "bytes-down": h.bytes_received,
        }
        for h in heard
    ]


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
