"""Real runs on suite `demo`, small enough for tests, with hands on what nodes and server say to each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
from flwr.app import Context, Message
from numpy.typing import NDArray

from client_app.app import app
from concord.config import RunConfig, Scalar, parse_config
from concord.run_folder import Line, RunFolder
from concord.wire.records import arrays_from_record, message_from_record, to_record
from concord.wire.v1 import federation_pb2 as pb
from server_app.in_process import InProcessGrid, Intercept, pass_on
from server_app.results import Result, load_result
from server_app.run import Run, open_run

ONE_EACH = ("image-forms-a", "word-west-europe", "tone-north")
TINY: dict[str, Scalar] = {
    "rounds": 2,
    "local-steps": 2,
    "batch-size": 8,
    "warmup.steps": 5,
    "model.width": 16,
    "model.attention-heads": 2,
    "adapter.rank": 2,
    "adapter.alpha": 2.0,
    "device": "cpu",
    "share-test-embeddings": True,
}
CENSUS, TRAIN, FINAL = "query.census", "train.round", "evaluate.final"

Settings = Mapping[str, Scalar]
DEFAULTS: Settings = MappingProxyType({})
Arrays = dict[str, NDArray[np.float32]]
Attack = Callable[[Message, Message], Message | None]  # from what was asked and the honest reply to what is sent, if anything


def as_options(settings: Settings) -> list[str]:
    """Settings as words of a command line."""
    return [word for key, value in settings.items() for word in ("--set", f"{key}={str(value).lower()}")]


def train_here(config: RunConfig, app_folder: Path, nodes: int, on_wait: Callable[[], None]) -> None:
    """In place of `run_simulation`: the same run in this process."""
    open_run(config, InProcessGrid(app, config.flat(), nodes)).rounds()


def tiny_config(folder: Path, settings: Settings = DEFAULTS) -> RunConfig:
    """A run that takes about a second."""
    return parse_config({**TINY, "run-folder": str(folder), **settings})


class NamedNodes(InProcessGrid):
    """A grid of nodes by name, with a run config or partition of their own where a test changes it; see `context`."""

    def __init__(self, config: RunConfig, names: Sequence[str], intercept: Intercept = pass_on) -> None:
        super().__init__(app, config.flat(), len(names), intercept)
        for node_id, name in enumerate(names, start=1):
            self.context(node_id).node_config["node"] = name

    def context(self, node_id: int) -> Context:
        """What node `node_id` (from 1) is told by its surroundings."""
        return self._contexts[node_id]


def open_tiny(
    folder: Path, settings: Settings = DEFAULTS, names: Sequence[str] = ONE_EACH, intercept: Intercept = pass_on
) -> Run:
    """A run before its first round, with the nodes of these names."""
    config = tiny_config(folder, settings)
    pooled = ["centralised"] if config.method == "centralised" else names
    return open_run(config, NamedNodes(config, pooled, intercept))


def run_tiny(
    folder: Path, settings: Settings = DEFAULTS, names: Sequence[str] = ONE_EACH, intercept: Intercept = pass_on
) -> Result:
    """A whole run; what it says is read back from its folder."""
    open_tiny(folder, settings, names, intercept).rounds()
    return load_result(folder)


def lines(folder: Path, scope: str) -> list[Line]:
    """The lines of one scope of the metrics."""
    return [line for line in RunFolder(folder).read_metrics() if line["scope"] == scope]


def at(kind: str, round_: int, message: Message) -> bool:
    """Whether `message` is of this kind and round."""
    return message.metadata.message_type == kind and instruction_of(message).round == round_


def against(attacker: int, attack: Attack, *, kind: str = TRAIN, round_: int = 2) -> Intercept:
    """A node that tries one attack in one round."""

    def intercept(node_id: int, message: Message, reply: Message) -> Message | None:
        return attack(message, reply) if node_id == attacker and at(kind, round_, message) else reply

    return intercept


def in_turn(attacker: int, attacks: Iterable[Attack], begin: int) -> Intercept:
    """A node that tries one attack a round, from round `begin` on."""
    by_round = dict(enumerate(attacks, begin))

    def intercept(node_id: int, message: Message, reply: Message) -> Message | None:
        mine = node_id == attacker and message.metadata.message_type == TRAIN
        attack = by_round.get(instruction_of(message).round) if mine else None
        return attack(message, reply) if attack else reply

    return intercept


def instruction_of(message: Message) -> pb.Instruction:
    return message_from_record(pb.Instruction, message.content)


def report_of(reply: Message) -> pb.Report:
    return message_from_record(pb.Report, reply.content)


def edited(reply: Message, change: Callable[[pb.Report, Arrays], None]) -> Message:
    """The reply with its report and writable arrays changed in place."""
    report, arrays = report_of(reply), {name: array.copy() for name, array in arrays_from_record(reply.content).items()}
    change(report, arrays)
    reply.content = to_record(report, arrays)
    return reply


def edit(change: Callable[[pb.Report, Arrays], None]) -> Attack:
    """The attack that changes report and arrays of an honest reply in place."""
    return lambda message, reply: edited(reply, change)


def edited_census(reply: Message, edit: Callable[[pb.Census], None]) -> Message:
    """The answer to the census, changed in place by `edit`."""
    census = message_from_record(pb.Census, reply.content)
    edit(census)
    reply.content = to_record(census)
    return reply


def census_from(node_id: int, change: Callable[[Message], Message | None]) -> Intercept:
    def intercept(node: int, message: Message, reply: Message) -> Message | None:
        return change(reply) if node == node_id and message.metadata.message_type == CENSUS else reply

    return intercept


def told(change: Callable[[pb.Census], None]) -> Callable[[Message], Message]:
    return lambda reply: edited_census(reply, change)


def no_samples(census: pb.Census) -> None:
    census.holdings[0].examples = 0


def other_version(census: pb.Census) -> None:
    census.app_version = "0.0.9"


class ComingAndGoing(NamedNodes):
    """A grid whose nodes are connected only while they are in `present`."""

    present: Sequence[int] = ()

    def get_node_ids(self) -> list[int]:
        return [node_id for node_id in super().get_node_ids() if node_id in self.present]


class SlowToAnswer(ComingAndGoing):
    """Keeps back what node `slow` says of itself, unless it is told to let it go."""

    slow, let_go = 2, False

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        replies = super().pull_messages(message_ids)
        about = [(reply, reply.metadata) for reply in replies if not self.let_go]
        kept = [reply for reply, of in about if (of.src_node_id, of.message_type) == (self.slow, CENSUS)]
        self._replies |= {reply.metadata.reply_to_message_id: reply for reply in kept}
        return [reply for reply in replies if reply not in kept]
