"""Instances of a node: samples of different modalities with the same id are the same instance.

Legend: N instances, M samples of a modality, C classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from concord.samples import NO_LABEL, Samples

ABSENT = -1


@dataclass(frozen=True)
class Instances:
    """N instances over the modalities of a node.

    Attributes:
        ids: their names.
        y_N: classes.
        rows: per modality the row [N] of each instance in its samples, `ABSENT` where it has none.
    """

    ids: tuple[str, ...]
    y_N: Tensor
    rows: Mapping[str, Tensor]


def labelled_instances(samples: Mapping[str, Samples]) -> Instances:
    """Every instance that has a label in some modality, in order of appearance."""
    label_of: dict[str, int] = {}
    for part in samples.values():
        label_of |= {name: y for name, y in zip(part.ids, part.y.tolist(), strict=True) if y != NO_LABEL}
    return _instances(samples, label_of)


def instances_named(samples: Mapping[str, Samples], ids: Iterable[str]) -> Instances:
    """The instances of these names, with their labels (`NO_LABEL` where there is none); KeyError for one that is nowhere."""
    known = {name: y for part in samples.values() for name, y in zip(part.ids, part.y.tolist(), strict=True)}
    return _instances(samples, {name: known[name] for name in ids})


def summed_logits(parts: Iterable[tuple[Tensor, Tensor]], instances: int, classes: int) -> Tensor:
    """Logits [N, C] of instances, summed over modalities; zero where none has a sample of the instance. On the CPU.

    Args:
        parts: per modality the logits [M, C] of its samples, and the row [N] of each instance in them or `ABSENT`.
        instances: N.
        classes: C.
    """
    total_NC = torch.zeros(instances, classes)
    for logits_MC, row_N in parts:
        there_N = torch.nonzero(row_N != ABSENT).flatten()
        total_NC.index_add_(0, there_N, logits_MC.cpu()[row_N[there_N]])
    return total_NC


def _instances(samples: Mapping[str, Samples], label_of: Mapping[str, int]) -> Instances:
    rows = {}
    for modality, part in samples.items():
        row_of = {name: row for row, name in enumerate(part.ids)}
        rows[modality] = torch.tensor([row_of.get(name, ABSENT) for name in label_of], dtype=torch.long)
    return Instances(tuple(label_of), torch.tensor(list(label_of.values()), dtype=torch.long), rows)
