"""What a party knows of classes by their mean features: from its own labelled nodes, and from what others told.

Legend: see `concord.functional.grounding`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from client_app.data.graph import TRAIN, NodeGraph
from concord.functional.grounding import class_cosines, class_targets, left_out_cosines, mean_cosines, right_answers, smoothed
from concord.functional.prototypes import aggregate_prototypes, class_prototypes
from concord.graph_config import StageConfig
from concord.wire.class_means import class_means_from_wire, class_means_to_wire
from concord.wire.messages import WireError
from concord.wire.v1 import federation_pb2 as pb

Means = tuple[Tensor, Tensor]  # [C, F], and the nodes [C] behind them
PREFIX = "others/"  # of what a party keeps
VERSION = f"{PREFIX}version"


@dataclass(frozen=True)
class Surroundings:
    """What nodes have around them in a modality.

    Attributes:
        x_NF, known_N: smoothed features, and which nodes have any.
        mean_CF, count_C: means over the labelled nodes of each class, and how many they are.
    """

    x_NF: Tensor
    known_N: Tensor
    mean_CF: Tensor
    count_C: Tensor


@dataclass(frozen=True)
class Told:
    """What others told of classes.

    Attributes:
        version: the server's number for it; 0: nothing yet.
        means: per modality the means [C, F] of all others, and the nodes [C] behind them.
    """

    version: int
    means: Mapping[str, Means]


def labelled_nodes(graph: NodeGraph) -> Tensor:
    """Nodes to learn from that have a modality, as the census counts them: others may have something within reach."""
    has_N = torch.stack([*graph.present.values()]).any(dim=0)
    learnt_N = graph.parts[TRAIN]
    return learnt_N[has_N[learnt_N]]


def surroundings(graph: NodeGraph, classes: int, hops: int) -> dict[str, Surroundings]:
    """What the nodes of a party have around them, by modality."""
    found = {}
    for modality, raw_NF in graph.x.items():
        dense_NF = raw_NF.to_dense() if raw_NF.is_sparse else raw_NF
        x_NF, known_N = smoothed(dense_NF, graph.present[modality], graph.edges, hops)
        learnt_N = labelled_nodes(graph)
        learnt_N = learnt_N[known_N[learnt_N]]
        found[modality] = Surroundings(x_NF, known_N, *class_prototypes(x_NF[learnt_N], graph.y[learnt_N], classes))
    return found


def tell(own: Mapping[str, Surroundings]) -> Iterator[pb.ClassMeans]:
    """The means of a party's classes."""
    for modality, around in own.items():
        yield class_means_to_wire(modality, around.mean_CF.cpu(), around.count_C.cpu())


def take_up(instruction: pb.Instruction, own: Mapping[str, Surroundings]) -> Told:
    """What others told by now, from the message that says it.

    Raises:
        WireError: a message that is malformed, or of features that this party does not have.
    """
    means = {}
    for message in instruction.class_means:
        around = own.get(message.modality)
        if around is None or message.features != around.x_NF.shape[1]:
            raise WireError(f"class means of {message.features} features of {message.modality!r}, which this party does not have")
        mean_CF, count_C = class_means_from_wire(message, len(around.count_C))
        means[message.modality] = mean_CF.to(around.x_NF), count_C.to(around.count_C)
    return Told(instruction.class_means_version, means)


def answers(graph: NodeGraph, own: Mapping[str, Surroundings], told: Told) -> pb.ClassAnswers:
    """How well the labelled nodes are told by the means of all, and by the party's own."""
    learnt_N = labelled_nodes(graph)
    y_N = graph.y[learnt_N]
    bare = surroundings(graph, len(next(iter(own.values())).count_C), hops=0)
    alone, own_bare = ({m: (seen.mean_CF, seen.count_C) for m, seen in kind.items()} for kind in (own, bare))
    return pb.ClassAnswers(
        asked=len(y_N),
        right=right_answers(_left_out(own, _of_all(own, told), learnt_N, y_N), y_N),
        right_alone=right_answers(_left_out(own, alone, learnt_N, y_N), y_N),
        right_bare=right_answers(_left_out(bare, own_bare, learnt_N, y_N), y_N),
    )


def targets(graph: NodeGraph, own: Mapping[str, Surroundings], told: Told, settings: StageConfig) -> Tensor:
    """What the class means of all say of the party's nodes, see `class_targets` [N, C]."""
    means = _of_all(own, told)
    cosines = [class_cosines(own[m].x_NF, mean_CF, count_C > 0) for m, (mean_CF, count_C) in means.items()]
    seen = [own[m].known_N[:, None] & (count_C > 0) for m, (_, count_C) in means.items()]
    cosine_NC = mean_cosines(cosines, seen)
    labelled_C = torch.bincount(graph.y[graph.parts[TRAIN]], minlength=cosine_NC.shape[1])
    return class_targets(cosine_NC, labelled_C, settings.grounding_temperature, settings.grounding_count)


def to_keep(told: Told) -> dict[str, Tensor]:
    """What others told, as tensors by name."""
    if not told.version:
        return {}
    means = {f"{PREFIX}mean/{m}": mean_CF.cpu() for m, (mean_CF, _) in told.means.items()}
    counts = {f"{PREFIX}count/{m}": count_C.cpu() for m, (_, count_C) in told.means.items()}
    return {VERSION: torch.tensor(told.version), **means, **counts}


def kept(tensors: Mapping[str, Tensor], device: torch.device) -> Told:
    """What `to_keep` gave, among other tensors."""
    names = [name.removeprefix(f"{PREFIX}mean/") for name in tensors if name.startswith(f"{PREFIX}mean/")]
    means = {m: (tensors[f"{PREFIX}mean/{m}"].to(device), tensors[f"{PREFIX}count/{m}"].to(device)) for m in names}
    return Told(int(tensors.get(VERSION, torch.tensor(0))), means)


def weights_in(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The other tensors."""
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(PREFIX)}


def _of_all(own: Mapping[str, Surroundings], told: Told) -> dict[str, Means]:
    """The means of all parties: those of the others and the party's own, by count."""
    merged = {}
    for modality, (mean_CF, count_C) in told.means.items():
        around = own[modality]
        of_all_CF, _ = aggregate_prototypes((around.mean_CF, mean_CF), (around.count_C, count_C))
        merged[modality] = of_all_CF, around.count_C + count_C
    return merged


def _left_out(own: Mapping[str, Surroundings], means: Mapping[str, Means], learnt_N: Tensor, y_N: Tensor) -> Tensor:
    """Cosines of the labelled nodes with means that they are part of, without themselves."""
    cosines, seen = [], []
    for modality, (mean_CF, count_C) in means.items():
        known_N = own[modality].known_N[learnt_N]
        cosine_NC, has_NC = left_out_cosines(own[modality].x_NF[learnt_N], y_N, mean_CF, count_C)
        cosines.append(cosine_NC)
        seen.append(known_N[:, None] & has_NC)
    return mean_cosines(cosines, seen)
