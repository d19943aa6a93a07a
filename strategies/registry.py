"""Methods by name, server side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from concord.anchors import AnchorSet
from concord.config import RunConfig
from concord.errors import ConcordError
from concord.graphs import GRAPH_METHODS, GRAPH_SUITES
from strategies import fedavg, fedmchain, geolora
from strategies.fedavg import FedAvg
from strategies.fedmchain import FedMChain
from strategies.fedproto import FedProto
from strategies.geolora import GeoLora
from strategies.local import Local
from strategies.parse import Forwarding
from strategies.rules import RuleName, check_rule
from strategies.stage import Stage
from strategies.state import GlobalState
from strategies.strategy import ConcordStrategy


class StrategyFactory(Protocol):
    """What makes a strategy: the constructor of a method's class."""

    def __call__(self, config: RunConfig, anchors: AnchorSet, state: GlobalState, width: int) -> ConcordStrategy: ...


@dataclass(frozen=True)
class MethodEntry:
    """One method.

    Attributes:
        title: its name as people write it.
        summary: one line for people.
        strategy: its strategy.
        rule: its own averaging rule; None when it averages nothing.
        pooled: one node holds all data (the upper bound).
        in_phases: nodes train one modality after the other, so that each needs an adapter and a head of its own.
        of_agents: nodes exchange slices among themselves, and the server only forwards them.
    """

    title: str
    summary: str
    strategy: StrategyFactory
    rule: RuleName | None
    pooled: bool = False
    in_phases: bool = False
    of_agents: bool = False


def _of_agents(title: str, summary: str) -> MethodEntry:
    return MethodEntry(title, summary, Forwarding, None, of_agents=True)


METHODS: dict[str, MethodEntry] = {
    "geolora": MethodEntry(
        "GeoLoRA", "Gram consensus of public anchors, low-rank updates, precision weights", GeoLora, geolora.DEFAULT_RULE
    ),
    "fedavg": MethodEntry("FedAvg", "averages every group over the nodes that hold it", FedAvg, fedavg.DEFAULT_RULE),
    "fedprox": MethodEntry("FedProx", "FedAvg whose nodes are held near the model that came in", FedAvg, fedavg.DEFAULT_RULE),
    "fedproto": MethodEntry("FedProto", "exchanges class prototypes, keeps models at home", FedProto, None),
    "local": MethodEntry("Local training", "no exchange: each node learns from its own data", Local, None),
    "anchors-only": MethodEntry("Anchors only", "no exchange: each node learns from its public anchors alone", Local, None),
    "self-training": MethodEntry("Self-training", "no exchange: GeoLoRA's pseudo-labels on each node alone", Local, None),
    "fedmchain": MethodEntry(
        "FedMChain",
        "modalities trained one after the other, each for what the others lack; sparse sign-guided averaging",
        FedMChain,
        fedmchain.DEFAULT_RULE,
        in_phases=True,
    ),
    "parse": _of_agents("PARSE", "agents without a server exchange the slices that both can use: redundant, unique, synergistic"),
    "dsgd-modality-sliced": _of_agents(
        "DSGD by modality, PARSE's model", "agents with PARSE's model exchange all that belongs to one modality"
    ),
    "dsgd-modality": _of_agents("DSGD by modality", "agents exchange the encoder of each modality with all who hold it"),
    "dsgd-task": _of_agents("DSGD by task", "agents exchange whole models with those who hold the same modalities"),
    "dsgd-hybrid": _of_agents(
        "DSGD hybrid", "agents exchange encoders by modality, classifiers by the modalities that they hold"
    ),
    "harmony": _of_agents("Harmony", "agents exchange models of one modality first, classifiers of several after"),
    "alone": _of_agents("Agents alone", "no exchange: each agent learns from its own data"),
    "stage": MethodEntry(
        "STAGE", "parties to a graph exchange what their nodes are like at shared anchors; models stay at home", Stage, None
    ),
    "centralised": MethodEntry(
        "Centralised training", "all data in one place: the upper bound", FedAvg, fedavg.DEFAULT_RULE, pooled=True
    ),
}


JOINT = ("fedavg", "fedprox", "local", "centralised")  # methods whose loss may be one of the summed logits


def check_method(config: RunConfig) -> MethodEntry:
    """The entry of a run's method, after checking that its settings fit together.

    Raises:
        ConcordError: C103 for an unknown method, or settings that make no sense for it.
    """
    entry = METHODS.get(config.method)
    if entry is None:
        raise ConcordError("C103", f"no method {config.method!r}", f"choose one of: {', '.join(METHODS)}")
    if entry.in_phases and (config.adapter_scope == "shared" or config.head_scope == "shared"):
        shared = "adapter.scope" if config.adapter_scope == "shared" else "model.head"
        raise ConcordError(
            "C103",
            f"{shared} = shared: a phase of {config.method} trains one modality and leaves the others as they are",
            f"leave {shared} at auto",
        )
    fusion, chain = config.fusion, config.fedmchain
    if fusion.loss == "joint" and config.method not in JOINT:
        raise ConcordError(
            "C103", f"fusion.loss = joint: {config.method} has a loss for each modality", f"it goes with {', '.join(JOINT)}"
        )
    if fusion.dropout and fusion.loss != "joint":
        raise ConcordError("C103", "fusion.dropout: it hides modalities from a joint loss", "set fusion.loss=joint")
    if chain.regulariser == "residual" and chain.weight >= 1:
        why = "from 1 on, the loss of a sample that the others get right would fall without end"
        raise ConcordError("C103", f"fedmchain.weight = {chain.weight}: {why}", "set it below 1")
    check_graphs(config)
    check_rule(config, entry.rule or "mean", averages=entry.rule is not None and not entry.pooled)
    return entry


def check_graphs(config: RunConfig) -> None:
    """ConcordError C103 when method, network or updates are none that the suite, of graphs or of samples, can have."""
    if not config.of_graphs:
        if config.method == "stage":
            raise ConcordError(
                "C103", f"method stage is for graphs, {config.suite} has none", f"choose from: {', '.join(GRAPH_SUITES)}"
            )
        return
    if config.method not in GRAPH_METHODS:
        what = f"suite {config.suite} is of graphs, and {config.method} trains models of samples"
        raise ConcordError("C103", what, f"choose from: {', '.join(GRAPH_METHODS)}")
    if config.method == "fedproto" and config.task != "classes":
        what = f"scenario {config.scenario}: fedproto agrees on classes, and the task has none"
        raise ConcordError("C103", what, f"choose from: {', '.join(m for m in GRAPH_METHODS if m != 'fedproto')}")
    if config.method == "stage" and config.architecture != "stage":
        what = f"graph.architecture = {config.architecture}: method stage has a network of its own"
        raise ConcordError("C103", what, "leave graph.architecture at auto")
    if config.update_values != "dense" or config.aggregation.rule not in ("auto", "mean"):
        what = "networks of graphs travel whole and are averaged by examples"
        raise ConcordError("C103", what, "leave update.values and aggregation.rule at auto")
