"""An agent: it trains on its own data, says its slices to its neighbours, and mixes in what they say.

A round is `train`, `updates` (what is said), and, when the neighbours' updates are there or given up, `mix`. The transport is
in between: in one process, through Flower, or gRPC. All random draws depend on seed, agent and round alone, and neighbours are
gone over by name, so every transport gives the same figures.

Mixing is decentralised gradient descent with Metropolis weights: a silent neighbour's weight stays on the agent itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version

import numpy as np
import torch
from torch import Tensor

from client_app.agents.methods import AGENT_METHODS, build_model, slices_of
from client_app.agents.model import Part
from client_app.data.node_data import NodeData
from client_app.encoders import encoder_of
from client_app.holdings import holdings_of
from client_app.instances import instances_named
from client_app.measure import EVALUATION_BATCH, evaluation_message
from client_app.schedules.descent import Descent
from client_app.store import RoundStore
from client_app.views import LABELLED, endless
from concord.agreement import Links, links_from_wire, links_to_wire, settings_alike
from concord.anchors import AnchorSet
from concord.config import RunConfig
from concord.errors import ConcordError
from concord.functional.mixing import metropolis_weight, mix
from concord.overlay import SliceLink
from concord.samples import NO_LABEL, Samples
from concord.seeding import generator_for, seeded
from concord.wire.groups import manifest_of, pack, shapes_of, unpack
from concord.wire.messages import SCHEMA_VERSION, WireError
from concord.wire.slices import Flat, Window, most_bytes, update_of, values_of, windows
from concord.wire.v1 import federation_pb2 as pb

TAKEN, SILENT = "taken", "silent"  # what came of a neighbour in a round; else why it was refused
TRAINED, LINKS = "about/trained", "about/links"  # beside the parameters in the agent's checkpoint


@dataclass(frozen=True)
class Heard:
    """What came of one neighbour in one round.

    Attributes:
        outcome: `TAKEN`, `SILENT`, or why its update was refused.
        bytes_sent, bytes_received: of the updates on the link.
    """

    neighbour: str
    outcome: str
    bytes_sent: int
    bytes_received: int


class Agent:
    """One agent in one run.

    Args:
        config: the run.
        data: its samples.
        anchors: the public anchors; their digest and concepts are what agents compare.
        device: where it trains.
        store: where it keeps its checkpoints; None: nowhere.

    Raises:
        ConcordError: C103, when `overlay.budget` has no room for a link of all its slices.

    Attributes:
        round_: the last round that it trained in.
        trained: whether it has trained in `round_` and not mixed yet.
        links: with whom it exchanges what, in `round_`.
    """

    def __init__(
        self, config: RunConfig, data: NodeData, anchors: AnchorSet, device: torch.device, store: RoundStore | None = None
    ) -> None:
        self.config, self.data, self.anchors, self.device, self._store = config, data, anchors, device, store
        self.model = build_model(config, list(data.train), len(anchors.concepts)).to(device)
        self.round_, self.trained = 0, False
        self.links: Links = {}
        self._sent: dict[str, int] = {}
        windows(self._sizes, 1, self._budget)  # whoever joins later, its slices are among these: told now or never

    @property
    def name(self) -> str:
        return self.data.name

    @property
    def modalities(self) -> tuple[str, ...]:
        return self.model.modalities

    @cached_property
    def offer(self) -> list[pb.GroupManifest]:
        """The slices that it can exchange."""
        return [manifest_of(name, shapes_of(part)) for name, part in self._slices.items()]

    def most_bytes(self, agents: int) -> int:
        """Of an update that a neighbour may say, with news of so many agents."""
        return most_bytes(self._sizes, self._budget, agents)

    def hello(self) -> pb.Hello:
        """How it introduces itself."""
        return pb.Hello(
            schema_version=SCHEMA_VERSION,
            app_version=version("concord"),
            agent=self.name,
            settings=settings_alike(self.config),
            anchor_digest=self.anchors.digest,
            concepts=self.anchors.concepts,
            holdings=holdings_of(self.config, self.data.train),
            slices=self.offer,
            round=self.round_,
        )

    def train(self, round_: int, links: Links) -> dict[str, float]:
        """One round of local training; the mean of each term of the objective.

        Args:
            round_: from 1.
            links: with whom it will exchange what.
        """
        self.links = links
        leaves_out = AGENT_METHODS[self.config.method].leaves_out
        with seeded(self.config.seed, "training", self.name, round_):  # dropout of a pretrained trunk
            descent = Descent(list(self.model.trained().values()), self.config, round_)
            generator = generator_for(self.config.seed, "batches", self.name, "agent", round_)
            batches = endless(self._labelled, self.config.batch_size, generator)

            def terms() -> list[tuple[str, Tensor]]:
                index_B = next(batches)
                inputs = {m: self._view(m, index_B, generator) for m in self.modalities}
                y_B = self._samples.y[index_B].to(self.device)
                losses = self.model.losses(inputs, y_B, self._progress(round_))
                return [(name, term) for name, term in losses.items() if name not in leaves_out]

            self.model.train()
            for _ in range(self.config.local_steps if len(self._labelled) else 0):
                descent.step(terms)
        self.round_, self.trained = round_, True
        self._save()
        return descent.means()

    def updates(self, heard: Mapping[str, int] | None = None) -> dict[str, pb.SliceUpdate]:
        """What it says to each neighbour in this round.

        Args:
            heard: by agent the last round in which it is known to have been there.
        """
        flat = self._flat()
        of_windows: dict[tuple[Window, ...], pb.SliceUpdate] = {}  # neighbours with the same slices are told the same
        updates = {}
        for neighbour, slices in self.links.items():
            known = windows(self._sizes_of(slices), self.round_, self._budget)
            parts = tuple(window for window in known if self._exchanges(window.slice))
            if parts not in of_windows:
                degrees = {s.slice: s.degree for s in slices}
                of_windows[parts] = update_of(self.name, self.round_, flat, parts, degrees, heard or {}, self._budget)
            updates[neighbour] = of_windows[parts]
        self._sent = {neighbour: update.ByteSize() for neighbour, update in updates.items()}
        return updates

    def mix(self, received: Mapping[str, pb.SliceUpdate]) -> list[Heard]:
        """Mixes in what the neighbours said in this round; what came of each, by name."""
        flat = self._flat()
        said: dict[str, list[tuple[float, Tensor]]] = {name: [] for name in flat}
        outcomes = []
        for neighbour, slices in self.links.items():
            outcome = SILENT
            if (update := received.get(neighbour)) is not None:
                outcome = self._read(update, neighbour, slices, flat, said)
            size = update.ByteSize() if update is not None else 0
            outcomes.append(Heard(neighbour, outcome, self._sent.get(neighbour, 0), size))
        with torch.no_grad():
            for name, values in said.items():
                if values:
                    mixed = unpack(mix(torch.from_numpy(flat[name]), values).numpy(), shapes_of(self._slices[name]))
                    for key, parameter in self._slices[name].items():
                        parameter.copy_(mixed[key])
        self.trained = False
        return outcomes

    def end_round(self) -> None:
        """Keeps what it is after mixing, so that it goes on from here."""
        self._save()

    def skip_to(self, round_: int) -> None:
        """Leaves out rounds that the others have done while it was away."""
        self.round_, self.trained = max(self.round_, round_), False

    def evaluate(self) -> list[pb.Evaluation]:
        """Every prediction of the model on the agent's tests, all modalities of an instance together."""
        evaluations = []
        for split, tests in self.data.tests.items():
            ids = self.data.joint.get(split) or next(iter(tests.values())).ids
            if not ids:
                continue
            instances = instances_named(tests, ids)
            inputs = {m: tests[m].x[instances.rows[m]] for m in self.modalities}
            for name, logits_NC in self._figures(inputs).items():
                evaluations.append(evaluation_message(name, split, logits_NC.cpu(), instances.y_N))
        return evaluations

    def load(self, before: int | None = None) -> bool:
        """Goes back to the last checkpoint, of a round before `before`; whether there was one.

        Raises:
            ConcordError: C402, when it is of another model than this agent's.
        """
        saved = self._store.load_latest(before or self.config.rounds + 2) if self._store else None
        if self._store is None or saved is None:
            return False
        about = {name: saved.pop(name) for name in (TRAINED, LINKS)}
        parameters = self.model.trained()
        if {name: tensor.shape for name, tensor in saved.items()} != {name: p.shape for name, p in parameters.items()}:
            what = f"the checkpoint of {self.name} in {self._store.folder} is of another model"
            raise ConcordError("C402", what, "give it the data and the settings that it had, or begin in another folder")
        with torch.no_grad():
            for name, tensor in saved.items():
                parameters[name].copy_(tensor)
        self.round_, trained = (int(number) for number in about[TRAINED])
        self.trained = bool(trained)
        self.links = links_from_wire(pb.Instruction.FromString(bytes(about[LINKS].tolist())).links)
        return True

    @property
    def _budget(self) -> int:
        return self.config.overlay.budget

    @cached_property
    def _slices(self) -> dict[str, Part]:
        return slices_of(self.config, self.model)  # live: what is trained and mixed is in them

    @cached_property
    def _sizes(self) -> dict[str, int]:
        return {name: sum(p.numel() for p in part.values()) for name, part in self._slices.items()}

    def _sizes_of(self, slices: tuple[SliceLink, ...]) -> dict[str, int]:
        return {s.slice: self._sizes[s.slice] for s in slices}

    @cached_property
    def _samples(self) -> Samples:
        return next(iter(self.data.train.values()))  # those of all modalities are the same instances in the same order

    @cached_property
    def _labelled(self) -> Tensor:
        return torch.nonzero(self._samples.y != NO_LABEL).flatten()

    def _view(self, modality: str, index_B: Tensor, generator: torch.Generator) -> Tensor:
        x = self.data.train[modality].x[index_B]
        view = encoder_of(self.config, modality).augment(x, LABELLED, generator) if self.config.augment else x
        return view.to(self.device)

    @torch.no_grad()
    def _figures(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        self.model.eval()
        size = len(next(iter(inputs.values())))
        parts = [
            self.model.figures(self.model.votes({m: x[i : i + EVALUATION_BATCH].to(self.device) for m, x in inputs.items()}))
            for i in range(0, size, EVALUATION_BATCH)
        ]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def _progress(self, round_: int) -> float:
        return (round_ - 1) / self.config.rounds

    def _exchanges(self, slice_: str) -> bool:
        return self.model.exchanges(slice_, self._progress(self.round_))

    def _flat(self) -> dict[str, Flat]:
        return {name: pack(part) for name, part in self._slices.items()}

    def _read(
        self,
        update: pb.SliceUpdate,
        neighbour: str,
        slices: tuple[SliceLink, ...],
        flat: Mapping[str, Flat],
        said: Mapping[str, list[tuple[float, Tensor]]],
    ) -> str:
        """Adds what a neighbour says to `said`, with its weight, once all of it is sound; what came of it.

        The other end may see others there than this one. Then it has another degree, which it says; and a slice that only
        one end links is not read. So whatever both mix, they mix with the same weight.
        """
        if (update.agent, update.round) != (neighbour, self.round_):
            return f"an update of {update.agent[:80]!r} for round {update.round} in round {self.round_}"
        degrees = {s.slice: s.degree for s in slices}
        pieces = [piece for piece in update.pieces if piece.slice in degrees]
        try:
            values = values_of(pieces, windows(self._sizes_of(slices), self.round_, self._budget))
        except WireError as error:
            return error.message
        theirs: dict[str, Flat] = {}
        for window, array in values.items():
            if not self._exchanges(window.slice):
                continue
            if window.length == flat[window.slice].size:
                theirs[window.slice] = array
            else:
                whole = theirs.setdefault(window.slice, flat[window.slice].copy())
                whole[window.begin : window.begin + window.length] = array
        bound = self.config.aggregation.norm_bound
        for name, whole in theirs.items():
            distance = float(np.linalg.norm(whole.astype(np.float64) - flat[name]))
            if distance > bound:
                return f"slice {name!r} is {distance:.4g} away from the own one, the bound is {bound:.4g}"
        said_degrees = {piece.slice: max(1, piece.degree) for piece in pieces}
        for name, whole in theirs.items():
            said[name].append((metropolis_weight(degrees[name], said_degrees[name]), torch.from_numpy(whole)))
        return TAKEN

    def _save(self) -> None:
        if self._store is None:
            return
        links = pb.Instruction(links=links_to_wire(self.links)).SerializeToString(deterministic=True)
        about = {
            TRAINED: torch.tensor([self.round_, int(self.trained)]),
            LINKS: torch.tensor(list(links), dtype=torch.uint8),
        }
        self._store.save(self.round_, {name: p.detach().cpu() for name, p in self.model.trained().items()} | about)
