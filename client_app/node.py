"""One node's part of a round: check what came in, evaluate it, train on it, report.

Every message may meet a new process (Flower starts one for each in deployment), so all that must last is on the
node's disk and everything else is built from the run config.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client_app.data.node_data import NodeData
from client_app.holdings import holdings_of
from client_app.measure import anchor_means, embeddings_message, evaluate, evaluate_fused, local_prototypes, predictive_variance
from client_app.messages import Arrays, begin_report, census_of, groups_in
from client_app.methods import Agreed, method_of
from client_app.model import MultimodalModel
from client_app.schedules import train
from client_app.schedules.task import Task
from client_app.sparsify import sparse_change
from client_app.store import NodeStore, RoundStore
from concord.anchors import AnchorSet
from concord.config import RunConfig
from concord.errors import ConcordError
from concord.functional.gram import gram
from concord.samples import Samples
from concord.seeding import seeded
from concord.wire.groups import Group, group_digest, manifest_of, modality_of, pack, shapes_of
from concord.wire.messages import (
    WireError,
    digest_from_wire,
    gram_from_wire,
    gram_to_wire,
    matrix_from_wire,
    prototypes_from_wire,
    prototypes_to_wire,
    token_from_wire,
)
from concord.wire.records import BASE
from concord.wire.v1 import federation_pb2 as pb

# Memory of sparse updates, by group: what the last one said, in which round, and what all of them have left out so far.
SAID, SAID_IN, LEFT_OUT = "said", "said-in", "left-out"
MEMORY = "memory/"  # prefix of what a method remembers, beside the private tensors of the model


@dataclass(frozen=True)
class Node:
    """A node in one run: its data, the public anchors, and its own disk."""

    config: RunConfig
    data: NodeData
    anchors: AnchorSet
    store: NodeStore
    device: torch.device

    @cached_property
    def own_anchors(self) -> dict[str, Samples]:
        """Anchors of the modalities that this node holds."""
        return {modality: self.anchors.of(modality) for modality in self.data.train}

    def census(self) -> pb.Census:
        """What this node has, for the server's plan."""
        known = {m: samples for m, samples in self.data.train.items() if self.own_anchors[m]}  # C302 where one has none
        census = census_of(self.data.name, self.anchors, holdings_of(self.config, known))
        census.base_digest = self.store.base_digest()
        return census

    def perform(self, instruction: pb.Instruction, arrays: Arrays) -> tuple[pb.Report, dict[str, NDArray[np.float32]]]:
        """Does one round: evaluates the model that came in, then (in a training phase) trains it.

        Returns:
            The report, and the flat array of every group that was trained.

        Raises:
            ConcordError: C303 when the server's anchors are not this node's, C501 for a malformed instruction.
        """
        started = time.monotonic()
        report = begin_report(instruction, self.data.name, self.anchors)
        groups = groups_in(instruction, arrays)
        base = self._base(instruction.base_digest, groups.pop(BASE, None))
        if instruction.base_digest and base is None:
            report.needs_base = True
            return report, {}
        model = self._model(base)
        kept = self.store.rounds(token_from_wire(instruction.run_token))
        private = kept.load_latest(before=instruction.round) or {}
        memory = {name.removeprefix(MEMORY): t for name, t in private.items() if name.startswith(MEMORY)}
        model.load_private({name: t for name, t in private.items() if not name.startswith(MEMORY)}, list(groups))
        model.load_groups(groups)
        self._evaluate(model, report, share=instruction.phase == pb.PHASE_EVALUATE and self.config.share_test_embeddings)
        trained: dict[str, NDArray[np.float32]] = {}
        if instruction.phase == pb.PHASE_TRAIN:
            agreed = self._agreed(instruction)
            trained = self._train(model, report, agreed, groups, memory, kept, instruction)
        self._describe_anchors(model, report)
        report.seconds = time.monotonic() - started
        return report, trained

    def _base(self, digest: str, sent: Mapping[str, Tensor] | None) -> Mapping[str, Tensor] | None:
        if not digest:
            return None
        named = digest_from_wire(digest)
        if sent is not None:
            if group_digest(sent) != named:
                raise WireError("an Instruction with another base than it names")
            self.store.save_base(named, sent)
        return self.store.load_base(named) if self.store.has_base(named) else None

    def _model(self, base: Mapping[str, Tensor] | None) -> MultimodalModel:
        modalities = tuple(self.data.train)
        model = MultimodalModel(
            self.config,
            modalities,
            len(self.anchors.concepts),
            owner=self.data.name,
            rank=self.config.rank_of(modalities),
            base=base,
            head_scope="local" if method_of(self.config).keeps_heads else self.config.head_scope,
        )
        return model.to(self.device)

    def _agreed(self, instruction: pb.Instruction) -> Agreed:
        concepts = len(self.anchors.concepts)
        consensus = {}
        if instruction.HasField("consensus"):
            common = self._placed(gram_from_wire(instruction.consensus, concepts))
            consensus = dict.fromkeys(self.data.train, common)
        for other in instruction.others:
            consensus[other.modality] = self._placed(gram_from_wire(other.gram, concepts))
        frame = prototypes = None
        if instruction.HasField("frame"):
            frame_CD = matrix_from_wire(instruction.frame)
            frame = self._placed((frame_CD, frame_CD.norm(dim=1) > 0))
        if instruction.HasField("prototypes"):
            means_CD, count_C = prototypes_from_wire(instruction.prototypes, concepts)
            prototypes = self._placed((means_CD, count_C > 0))
        progress = (instruction.round - 1) / self.config.rounds
        return Agreed(consensus, frame, prototypes, progress)

    def _placed(self, pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return pair[0].to(self.device), pair[1].to(self.device)

    def _evaluate(self, model: MultimodalModel, report: pb.Report, *, share: bool) -> None:
        concepts = len(self.anchors.concepts)
        for split, tests in self.data.tests.items():
            logits: dict[str, Tensor] = {}
            for modality, samples in tests.items():
                if not len(samples):
                    continue
                evaluation, logits[modality], z_ND = evaluate(model, modality, split, samples, self.device)
                report.evaluations.append(evaluation)
                if share:
                    means = anchor_means(model, modality, self.own_anchors[modality], concepts, self.device)
                    report.embeddings.append(embeddings_message(modality, split, z_ND, samples.y, *means))
            if joint := self.data.joint.get(split):
                report.evaluations.append(evaluate_fused(split, tests, logits, joint))

    def _train(
        self,
        model: MultimodalModel,
        report: pb.Report,
        agreed: Agreed,
        received: Mapping[str, Group],
        memory: dict[str, Tensor],
        kept: RoundStore,
        instruction: pb.Instruction,
    ) -> dict[str, NDArray[np.float32]]:
        method = method_of(self.config)
        with seeded(self.config.seed, "training", self.data.name, report.round):  # dropout of a pretrained trunk
            task = Task(
                model,
                self.data.train,
                self.own_anchors,
                method,
                agreed,
                self.config,
                owner=self.data.name,
                round_=report.round,
                device=self.device,
                memory=memory,
            )
            losses = train(task)
        report.losses.update(losses)
        trained = {name: group for name, group in model.groups().items() if name in received}
        sparse = self._sparse_changes(received, trained, memory, instruction)
        remembered = {f"{MEMORY}{name}": tensor for name, tensor in memory.items()}
        kept.save(report.round, model.private_tensors(list(received)) | remembered)
        if method.sends_prototypes:
            means = local_prototypes(model, self.data.train, self.own_anchors, len(self.anchors.concepts), self.device)
            report.prototypes.CopyFrom(prototypes_to_wire(*means))
        variance = 0.0
        if instruction.want_variance:
            purpose = (self.config.seed, "variance", self.data.name, report.round)
            variance = predictive_variance(
                model, self.data.train, self.own_anchors, self.config.precision.estimate, purpose, self.device
            )
        for name, group in trained.items():
            report.groups.append(
                pb.GroupClaim(
                    manifest=manifest_of(name, shapes_of(group)),
                    examples=self._examples(name),
                    variance=variance,
                    sparse=sparse.get(name),
                )
            )
        return {name: pack(group) for name, group in trained.items() if name not in sparse}

    def _sparse_changes(
        self,
        received: Mapping[str, Group],
        trained: Mapping[str, Group],
        memory: dict[str, Tensor],
        instruction: pb.Instruction,
    ) -> dict[str, pb.SparseUpdate]:
        """Sparse updates by group, where the run sends them; what the server does not learn is remembered for the next."""
        settings, values = self.config.update, self.config.update_values
        if values == "dense":
            return {}
        changes = {}
        last_is_lost = int(memory.get(SAID_IN, torch.tensor(0))) > instruction.last_counted
        for name in trained:
            owed_P = memory.get(f"{LEFT_OUT}/{name}")
            if last_is_lost and owed_P is not None:
                owed_P = owed_P + memory[f"{SAID}/{name}"]
            changes[name], said_P, left_out_P = sparse_change(received[name], trained[name], owed_P, settings.density, values)
            if settings.error_feedback:
                memory |= {f"{LEFT_OUT}/{name}": left_out_P, f"{SAID}/{name}": said_P, SAID_IN: torch.tensor(instruction.round)}
        return changes

    def _examples(self, group: str) -> int:
        """Training samples behind a group: those of its modality, or all."""
        modality = modality_of(group)
        return sum(len(samples) for m, samples in self.data.train.items() if not modality or m == modality)

    def _describe_anchors(self, model: MultimodalModel, report: pb.Report) -> None:
        for modality, anchors in self.own_anchors.items():
            means_CD, mask_C = anchor_means(model, modality, anchors, len(self.anchors.concepts), self.device)
            report.grams.append(pb.ModalityGram(modality=modality, gram=gram_to_wire(gram(means_CD).cpu(), mask_C.cpu())))


def choose_device(name: str) -> torch.device:
    """The device that a run config names; ``auto`` takes a GPU where there is one.

    Raises:
        ConcordError: C103, when this machine does not have it.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConcordError("C103", f"device = {name}: torch finds {torch.cuda.device_count()} GPUs here", "set device=auto")
    return device


def node_folder(run_folder: str, node_state: str, name: str) -> Path:
    """Where a node keeps its part of runs of this name: below its own `state-folder`, else in the run folder (simulation)."""
    return (Path(node_state) / Path(run_folder).name if node_state else Path(run_folder) / "nodes") / name
