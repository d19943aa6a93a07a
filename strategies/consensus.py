"""What nodes agree on beside averaged weights: nothing, a Gram matrix of the anchors, or class prototypes.

Legend: C concepts, D width, K nodes, G Gram matrices, one a modality of a node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from concord.functional.frame import frame
from concord.functional.gram import consensus
from concord.functional.precision import capped_shares, capping_factors, precision_shares
from concord.functional.prototypes import aggregate_prototypes
from concord.wire.messages import gram_from_wire, gram_to_wire, matrix_to_wire, prototypes_from_wire, prototypes_to_wire
from concord.wire.v1 import federation_pb2 as pb


class Consensus(Protocol):
    """What the server keeps from the reports of a round and sends with the next."""

    needs_variance: bool

    def update(self, reports: Sequence[pb.Report]) -> None:
        """Takes in the good reports of a round."""

    def write(self, instruction: pb.Instruction, node: str) -> None:
        """Puts what is agreed on into the instruction of a node."""

    def state(self) -> dict[str, Tensor]:
        """Everything a checkpoint needs."""
        ...

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Takes up what `state` gave."""


class NoConsensus:
    """Nothing but averaged weights is agreed on."""

    needs_variance = False

    def update(self, reports: Sequence[pb.Report]) -> None:
        """Keeps nothing."""

    def write(self, instruction: pb.Instruction, node: str) -> None:
        """Adds nothing."""

    def state(self) -> dict[str, Tensor]:
        return {}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Has nothing to take up."""


class Together(Consensus):
    """Several things that are agreed on at once; what each keeps has names of its own."""

    def __init__(self, parts: Sequence[Consensus]) -> None:
        self.parts = parts
        self.needs_variance = any(part.needs_variance for part in parts)

    def update(self, reports: Sequence[pb.Report]) -> None:
        for part in self.parts:
            part.update(reports)

    def write(self, instruction: pb.Instruction, node: str) -> None:
        for part in self.parts:
            part.write(instruction, node)

    def state(self) -> dict[str, Tensor]:
        return {name: tensor for part in self.parts for name, tensor in part.state().items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        for part in self.parts:
            part.load(state)


class GramConsensus:
    """Consensus of the nodes' anchor Grams, and the frame derived from it.

    Eklund (arXiv 2601.17986), reconstructed: Gbar = sum_k pi_k H G_k H / ||H G_k H||_F. The frame is ours.

    Args:
        concepts: C.
        width: D, dimension of the shared space.
        weights: pi: ``uniform``, ``precision`` (n_k / sigma_k^2, capped), or ``leave-own-out`` (uniform over the
            nodes of other modalities, so that a modality never follows itself).
        cap: largest share of one node.
        with_frame: whether to derive and send the frame.
    """

    def __init__(self, concepts: int, width: int, weights: str, cap: float, *, with_frame: bool) -> None:
        self.concepts, self.width, self.weights, self.cap, self.with_frame = concepts, width, weights, cap, with_frame
        self.needs_variance = weights == "precision"
        self._agreed: dict[str, tuple[Tensor, Tensor]] = {}  # "" for all, else without the modality named
        self._frame_CD: Tensor | None = None

    def update(self, reports: Sequence[pb.Report]) -> None:
        grams = [(m.modality, gram_from_wire(m.gram, self.concepts), report) for report in reports for m in report.grams]
        if not grams:
            return
        self._agreed = {"": self._mean(grams)}
        if self.weights == "leave-own-out":
            for modality in sorted({m for m, _, _ in grams}):
                others = [entry for entry in grams if entry[0] != modality]
                if others:
                    self._agreed[modality] = self._mean(others)
        if self.with_frame:
            self._frame_CD = frame(*self._agreed[""], self.width, self._frame_CD)

    def write(self, instruction: pb.Instruction, node: str) -> None:
        if "" in self._agreed:
            instruction.consensus.CopyFrom(gram_to_wire(*self._agreed[""]))
        for modality, agreed in self._agreed.items():
            if modality:
                instruction.others.append(pb.ModalityGram(modality=modality, gram=gram_to_wire(*agreed)))
        if self._frame_CD is not None:
            instruction.frame.CopyFrom(matrix_to_wire(self._frame_CD))

    def state(self) -> dict[str, Tensor]:
        state = {f"gram/{m}": gram_CC for m, (gram_CC, _) in self._agreed.items()}
        state |= {f"mask/{m}": mask_C for m, (_, mask_C) in self._agreed.items()}
        return state if self._frame_CD is None else state | {"frame": self._frame_CD}

    def load(self, state: Mapping[str, Tensor]) -> None:
        modalities = [name.removeprefix("gram/") for name in state if name.startswith("gram/")]
        self._agreed = {m: (state[f"gram/{m}"], state[f"mask/{m}"]) for m in modalities}
        self._frame_CD = state.get("frame")

    def _mean(self, grams: Sequence[tuple[str, tuple[Tensor, Tensor], pb.Report]]) -> tuple[Tensor, Tensor]:
        if self.weights == "precision":
            told = {id(report): report for _, _, report in grams}
            examples = [max((c.examples for c in r.groups), default=1) for r in told.values()]
            variances = [max((c.variance for c in r.groups), default=1.0) for r in told.values()]
            examples_K, variance_K = torch.tensor(examples, dtype=torch.float64), torch.tensor(variances, dtype=torch.float64)
            share_K = precision_shares(examples_K, variance_K, self.cap)
            share_of = {key: share / len(told[key].grams) for key, share in zip(told, share_K, strict=True)}
            weight_G = torch.stack([share_of[id(report)] for _, _, report in grams])
        else:
            weight_G = capped_shares(torch.ones(len(grams)), 1.0)
        agreed_CC, mask_C = consensus([pair for _, pair, _ in grams], weight_G)
        return agreed_CC.float(), mask_C


class PrototypeConsensus:
    """Global class prototypes (FedProto, Tan et al. 2022, eq. 6): means of the nodes' class means, by count.

    Args:
        concepts: C.
        cap: largest share of one node in all counts; ours.
    """

    needs_variance = False

    def __init__(self, concepts: int, cap: float) -> None:
        self.concepts, self.cap = concepts, cap
        self._means_CD: Tensor | None = None
        self._mask_C = torch.zeros(concepts, dtype=torch.bool)

    def update(self, reports: Sequence[pb.Report]) -> None:
        pairs = [prototypes_from_wire(r.prototypes, self.concepts) for r in reports if r.HasField("prototypes")]
        if pairs:
            means, counts = zip(*pairs, strict=True)
            factor_K = capping_factors(torch.stack([count_C.sum() for count_C in counts]), self.cap)
            capped = [count_C * factor for count_C, factor in zip(counts, factor_K, strict=True)]
            self._means_CD, fresh_C = aggregate_prototypes(means, capped, self._means_CD)
            self._mask_C = self._mask_C | fresh_C

    def write(self, instruction: pb.Instruction, node: str) -> None:
        if self._means_CD is not None:
            instruction.prototypes.CopyFrom(prototypes_to_wire(self._means_CD, self._mask_C))

    def state(self) -> dict[str, Tensor]:
        return {} if self._means_CD is None else {"means": self._means_CD, "mask": self._mask_C}

    def load(self, state: Mapping[str, Tensor]) -> None:
        if "means" in state:
            self._means_CD, self._mask_C = state["means"], state["mask"]
