"""A party's part of a round on its graph: take up what came in, evaluate, train, report.

Every message may meet a new process, so the network is built anew, and what does not travel is on the party's own disk.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client_app.data.graph import TEST, TRAIN, VALIDATION, NodeGraph
from client_app.graphs.features import as_features
from client_app.graphs.grounding import (
    Surroundings,
    Told,
    answers,
    kept,
    surroundings,
    take_up,
    targets,
    tell,
    to_keep,
    weights_in,
)
from client_app.graphs.homophily import control_by_homophily
from client_app.graphs.network import GraphNetwork, without_modality
from client_app.graphs.registry import build_network
from client_app.graphs.tasks import rankings
from client_app.graphs.training import Shared, moments, train_network
from client_app.measure import evaluation_message, ranking_message
from client_app.messages import Arrays, begin_report, census_of, groups_in
from client_app.store import NodeStore, restore
from concord.anchors import AnchorSet
from concord.config import RunConfig
from concord.functional.grounding import is_worth_it
from concord.functional.prototypes import class_prototypes
from concord.graphs import feature_encoder
from concord.kinds import without
from concord.samples import FUSED, NO_LABEL
from concord.wire.groups import manifest_of, modality_of, pack, shapes_of
from concord.wire.messages import prototypes_from_wire, prototypes_to_wire, token_from_wire
from concord.wire.moments import moments_from_wire, moments_to_wire
from concord.wire.v1 import federation_pb2 as pb


@dataclass(frozen=True)
class GraphNode:
    """A party to a graph in one run: its part of it, what all parties know, and its own disk."""

    config: RunConfig
    data: NodeGraph
    anchors: AnchorSet
    store: NodeStore
    device: torch.device

    @cached_property
    def graph(self) -> NodeGraph:
        """Its part of the graph, on its device; features that are mostly zeros as sparse ones."""
        graph, place = self.data, self.device
        return replace(
            graph,
            x={m: as_features(x).to(place) for m, x in graph.x.items()},
            present={m: has.to(place) for m, has in graph.present.items()},
            y=graph.y.to(place),
            edges=graph.edges.to(place),
            parts={part: index.to(place) for part, index in graph.parts.items()},
            questions={split: rows.to(place) for split, rows in graph.questions.items()},
        )

    @cached_property
    def around(self) -> dict[str, Surroundings]:
        """What its nodes have around them."""
        return surroundings(self.graph, len(self.anchors.concepts), self.config.graph.layers)

    def census(self) -> pb.Census:
        """What this party has."""
        learnt = self.data.parts[TRAIN]
        holdings = [
            pb.Holding(
                modality=modality,
                examples=int(has.sum()),
                labelled=int((has & (self.data.y != NO_LABEL))[learnt].sum()),
                labels=sorted(set(self.data.y[learnt].tolist()) - {NO_LABEL}),
                encoder=feature_encoder(self.data.x[modality].shape[1]),
            )
            for modality, has in self.data.present.items()
        ]
        return census_of(self.data.name, self.anchors, holdings)

    def perform(self, instruction: pb.Instruction, arrays: Arrays) -> tuple[pb.Report, dict[str, NDArray[np.float32]]]:
        """Evaluates with what came in, then (in a training phase) trains; the report, and the groups that travel back.

        Raises:
            ConcordError: C303 when the server's anchors are not this party's, C501 for a malformed instruction.
        """
        started = time.monotonic()
        report = begin_report(instruction, self.data.name, self.anchors)
        received = groups_in(instruction, arrays)
        store = self.store.rounds(token_from_wire(instruction.run_token))
        network = build_network(self.config, {m: x.shape[1] for m, x in self.graph.x.items()}, len(self.anchors.concepts)).to(
            self.device
        )
        private = store.load_latest(before=instruction.round) or {}
        _load(network, weights_in(private), received)
        if self.config.task == "classes":
            report.evaluations.extend(self.evaluate(network))
        report.rankings.extend(ranking_message(*ranked) for ranked in rankings(network, self.graph, self.config))
        trained: dict[str, NDArray[np.float32]] = {}
        if instruction.phase == pb.PHASE_TRAIN:
            told = self._told(instruction, private)
            shared = self._shared(instruction, told)
            report.losses.update(train_network(network, self.graph, self.config, shared, instruction.round))
            groups = network.groups()
            store.save(instruction.round, _private(network, received) | to_keep(told))
            trained = {name: pack(groups[name]) for name in received}
            report.groups.extend(
                pb.GroupClaim(manifest=manifest_of(name, shapes_of(groups[name])), examples=self._examples(name))
                for name in received
            )
            self._describe(network, report)
            if told.means:
                report.class_answers.CopyFrom(answers(self.graph, self.around, told))
            report.class_means_version = told.version
            if instruction.tell_class_means:
                report.class_means.extend(tell(self.around))
        elif self.config.controls_homophily:
            report.homophily.extend(control_by_homophily(network, self.graph))
        report.seconds = time.monotonic() - started
        return report, trained

    @torch.no_grad()
    def evaluate(self, network: GraphNetwork) -> list[pb.Evaluation]:
        """The classes of nodes that are held out, from all modalities, and without each one where there are several."""
        network.eval()
        graphs = {FUSED: self.graph}
        if len(self.graph.modalities) > 1:
            graphs |= {without(FUSED, m): without_modality(self.graph, m) for m in self.graph.modalities}
        evaluations = []
        for name, graph in graphs.items():
            logits_NC = network(graph).out_NO
            for split in (VALIDATION, TEST):
                index = graph.parts[split]
                if len(index):
                    evaluations.append(evaluation_message(name, split, logits_NC[index].cpu(), graph.y[index].cpu()))
        return evaluations

    def _examples(self, group: str) -> int:
        """Nodes to learn from behind a group: those that have its modality, or any. Links are learnt from every node."""
        learnt = torch.arange(len(self.data)) if self.config.task == "links" else self.data.parts[TRAIN]
        modality, present = modality_of(group), self.data.present
        has_N = present[modality] if modality else torch.stack([*present.values()]).any(dim=0)
        return int(has_N[learnt].sum())

    def _told(self, instruction: pb.Instruction, private: Mapping[str, Tensor]) -> Told:
        """What others have told of the classes so far: a message without means leaves it, version and all, as it was.

        So a party that lost its disk goes on to report an old version, by which the server sees that it lacks the means.
        """
        return take_up(instruction, self.around) if instruction.class_means else kept(private, self.device)

    def _shared(self, instruction: pb.Instruction, told: Told) -> Shared:
        stage, table, prototypes = self.config.stage, None, None
        if instruction.HasField("table"):
            mean_KD, mass_K = moments_from_wire(instruction.table, stage.anchors, stage.width)
            table = mean_KD.to(self.device), mass_K.to(self.device)
        if instruction.HasField("prototypes"):
            mean_CH, count_C = prototypes_from_wire(instruction.prototypes, len(self.anchors.concepts))
            prototypes = mean_CH.to(self.device), (count_C > 0).to(self.device)
        of_all = instruction.class_answers
        helped = told.means and is_worth_it(of_all.right, of_all.right_alone, of_all.right_bare)
        return Shared(table, prototypes, targets(self.graph, self.around, told, self.config.stage) if helped else None)

    @torch.no_grad()
    def _describe(self, network: GraphNetwork, report: pb.Report) -> None:
        """What of its nodes it tells the others."""
        if self.config.keeps_table:
            report.moments.CopyFrom(moments_to_wire(*moments(network, self.graph)))
        learnt = self.graph.parts[TRAIN]
        if self.config.method == "fedproto" and len(learnt):
            network.eval()
            hidden_NH = network(self.graph).hidden_NH[learnt]
            means = class_prototypes(hidden_NH, self.graph.y[learnt], len(self.anchors.concepts))
            report.prototypes.CopyFrom(prototypes_to_wire(*(tensor.cpu() for tensor in means)))


@torch.no_grad()
def _load(network: GraphNetwork, private: Mapping[str, Tensor], received: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Takes up what the party kept, where the network still has it, and then what came in."""
    groups = network.groups()
    restore({f"{name}/{key}": p for name, group in groups.items() for key, p in group.items()}, private)
    for group, tensors in received.items():
        for key, tensor in tensors.items():
            groups[group][key].copy_(tensor)


def _private(network: GraphNetwork, received: Mapping[str, object]) -> dict[str, Tensor]:
    """Everything that does not travel."""
    return {
        f"{name}/{key}": p.detach().cpu()
        for name, group in network.groups().items()
        if name not in received
        for key, p in group.items()
    }
