"""Class means of features that parties to a graph tell, and what each is told of the others: ours, for STAGE.

A party learns the means of all others without its own, and counts on its labelled nodes whether they say anything of its
features; the sums over all parties go back to each. Features and labels stay as they are, so each party tells its means once, and
hears of others when one of them tells for the first time.

Legend: C classes, F features.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from concord.functional.precision import capping_factors
from concord.functional.prototypes import aggregate_prototypes
from concord.wire.class_means import class_means_from_wire, class_means_to_wire
from concord.wire.v1 import federation_pb2 as pb
from strategies.consensus import Consensus

Kind = tuple[str, int]  # a modality, and how many features it has
Means = tuple[Tensor, Tensor]  # [C, F], and the nodes [C] behind them
COUNTS = [field.name for field in pb.ClassAnswers.DESCRIPTOR.fields]


class ClassMeans(Consensus):
    """The class means of all parties, and which version of them each party has.

    Args:
        classes: C.
        cap: largest share of one party in the nodes behind the means, and in those that the answers are of.
    """

    needs_variance = False

    def __init__(self, classes: int, cap: float) -> None:
        self.classes, self.cap = classes, cap
        self._told: dict[Kind, dict[str, Means]] = defaultdict(dict)
        self._version = 0
        self._versions: dict[str, int] = {}  # that parties have
        self._answers: dict[str, Tensor] = {}

    def update(self, reports: Sequence[pb.Report]) -> None:
        fresh = [report for report in reports if report.class_means and report.node not in self._tellers()]
        for report in fresh:
            for message in report.class_means:
                means = class_means_from_wire(message, self.classes)
                self._told[message.modality, message.features][report.node] = means
        self._version += bool(fresh)
        self._versions |= {report.node: report.class_means_version for report in reports}
        self._answers |= {report.node: _counts(report.class_answers) for report in reports if report.HasField("class_answers")}

    def write(self, instruction: pb.Instruction, node: str) -> None:
        instruction.tell_class_means = node not in self._tellers()
        instruction.class_means_version = self._version
        if self._answers:
            instruction.class_answers.CopyFrom(_answers_of_all(self._answers.values(), self.cap))
        if self._versions.get(node, 0) == self._version:
            return
        for (modality, _), told in self._told.items():
            others = [means for other, means in zip(told, _capped([*told.values()], self.cap), strict=True) if other != node]
            if node in told and others:
                instruction.class_means.append(class_means_to_wire(modality, *_merged(others)))

    def state(self) -> dict[str, Tensor]:
        state = {f"version/{node}": torch.tensor(version) for node, version in {"": self._version, **self._versions}.items()}
        state |= {f"answers/{node}": counts for node, counts in self._answers.items()}
        for (modality, features), told in self._told.items():
            for node, pair in told.items():
                state |= {f"{what}/{modality}/{features}/{node}": t for what, t in zip(("mean", "count"), pair, strict=True)}
        return state

    def load(self, state: Mapping[str, Tensor]) -> None:
        self._told, self._versions, self._answers = defaultdict(dict), {}, {}
        for name, tensor in state.items():
            kind, _, rest = name.partition("/")
            if kind == "version":
                self._versions[rest] = int(tensor)
            elif kind == "answers":
                self._answers[rest] = tensor
            elif kind == "mean":
                modality, features, node = rest.split("/", 2)
                self._told[modality, int(features)][node] = tensor, state[f"count/{rest}"]
        self._version = self._versions.pop("", 0)

    def _tellers(self) -> set[str]:
        return {node for told in self._told.values() for node in told}


def answers_in(state: Mapping[str, Tensor], cap: float) -> pb.ClassAnswers | None:
    """The answers of all parties together in what `ClassMeans.state` gave, likewise capped; None before there is any."""
    told = [counts for name, counts in state.items() if name.startswith("answers/")]
    return _answers_of_all(told, cap) if told else None


def _answers_of_all(told: Iterable[Tensor], cap: float) -> pb.ClassAnswers:
    count_PA = torch.stack(tuple(told))
    factor_P = capping_factors(count_PA[:, COUNTS.index("asked")], cap)
    return pb.ClassAnswers(**dict(zip(COUNTS, _lowered(count_PA, factor_P[:, None]).sum(dim=0).tolist(), strict=True)))


def _capped(told: Sequence[Means], cap: float) -> list[Means]:
    """The same means, with the counts of a party that has too large a part of them lowered."""
    factor_P = capping_factors(torch.stack([count_C.sum() for _, count_C in told]), cap)
    return [(mean_CF, _lowered(count_C, factor)) for (mean_CF, count_C), factor in zip(told, factor_P, strict=True)]


def _lowered(counts: Tensor, factor: Tensor) -> Tensor:
    """Whole counts, those of a factor of 1 as they are."""
    return torch.where(factor < 1, (counts.double() * factor).round().long(), counts)


def _counts(answers: pb.ClassAnswers) -> Tensor:
    return torch.tensor([getattr(answers, count) for count in COUNTS])


def _merged(told: Sequence[Means]) -> Means:
    """Means [C, F] over parties by count, zero for a class that nobody has, and counts [C]."""
    means, counts = zip(*told, strict=True)
    return aggregate_prototypes(means, counts)[0], torch.stack(counts).sum(dim=0)
