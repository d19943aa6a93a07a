"""The run configuration: every key of ``[tool.flwr.app.config]`` and nothing else.

Flower hands over a flat mapping of dotted keys to scalars and does not check the types of overrides; here they
are checked. Keys are kebab-case in TOML and on the command line, snake_case in Python.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from concord.errors import ConcordError, did_you_mean
from concord.graph_config import GraphConfig, StageConfig
from concord.graphs import GRAPH_SUITES, Task
from concord.scenario import scenario_words, task_of
from concord.section import Count, NonNegative, Section

Scalar = str | int | float | bool
Share = Annotated[float, Field(gt=0, le=1)]
HeadScope = Literal["shared", "modality", "local"]
Scope = Literal["shared", "modality"]
AdapterKind = Literal["dora", "lora", "full"]


# What `auto` means for a method that does not take the values of all others: chained phases train each modality alone.
AGENTS = ("parse", "dsgd-modality-sliced", "dsgd-modality", "dsgd-task", "dsgd-hybrid", "harmony", "alone")  # no server's model
AUTO: Mapping[str, Mapping[str, str]] = {
    "fedmchain": {"adapter.scope": "modality", "update.values": "sign"},
    "stage": {"graph.architecture": "stage"},
    **{name: {"adapter.scope": "modality", "adapter.kind": "full"} for name in AGENTS},
}


class ModelConfig(Section):
    trunk: str = Field("tiny", description="'tiny', or a transformers encoder by name or local path")
    width: Count = Field(64, description="token width d of the tiny trunk")
    layers: Count = Field(1, description="layers of the tiny trunk")
    attention_heads: Count = Field(4, description="attention heads of the tiny trunk")
    head: Literal["auto", HeadScope] = Field("auto", description="who shares a classification head; auto = as adapter.scope")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="of the trunk in training; auto = bfloat16 for a pretrained one on a GPU, else float32"
    )
    checkpointing: bool = Field(False, description="compute the trunk's hidden states anew in the backward pass: less memory")


class AdapterConfig(Section):
    kind: Literal["auto", AdapterKind] = Field("auto", description="what is trained in the trunk; auto = dora, of agents: full")
    scope: Literal["auto", Scope] = Field(
        "auto", description="one adapter for all modalities, or one each; auto = shared, of fedmchain and agents: one each"
    )
    rank: Count = Field(8, description="rank of the shared adapter")
    rank_by_modality: str = Field("", description="smaller ranks for some nodes, as 'speech=4,word=2'")
    alpha: Annotated[float, Field(gt=0)] = Field(8.0, description="adapter scale s = alpha / rank")
    targets: str = Field("auto", description="adapted layers of the trunk, or 'all-linear'; auto = queries and values")
    train_a: bool = Field(False, description="train A too; needs aggregation.rule low-rank or mean")

    def ranks(self) -> dict[str, int]:
        """`rank_by_modality` as a mapping; ConcordError C102 where it cannot be read."""
        ranks: dict[str, int] = {}
        for part in filter(None, (p.strip() for p in self.rank_by_modality.split(","))):
            modality, _, rank = part.partition("=")
            if not rank.isdigit() or not 1 <= int(rank) <= self.rank:
                raise ConcordError(
                    "C102",
                    f"adapter.rank-by-modality: {part!r}",
                    f"write modality=rank with a rank from 1 to adapter.rank ({self.rank}), as 'speech=4,word=2'",
                )
            ranks[modality] = int(rank)
        return ranks


class WarmupConfig(Section):
    steps: Annotated[int, Field(ge=0)] = Field(
        200, description="steps of the server on the public anchors; only the trunk is kept"
    )
    lr: NonNegative = Field(2e-3, description="learning rate of the warm-up")


class AggregationConfig(Section):
    rule: Literal["auto", "mean", "precision", "low-rank", "sparse-sign"] = Field(
        "auto", description="how groups are averaged; auto = the method's own"
    )
    max_share: Share = Field(0.5, description="largest share of one node in a group (relaxed to 1/N when N nodes cannot meet it)")
    norm_bound: Annotated[float, Field(gt=0)] = Field(
        100.0, description="largest L2 norm of a group's update before it is rejected"
    )


class UpdateConfig(Section):
    values: Literal["auto", "dense", "float32", "float16", "int8", "sign"] = Field(
        "auto", description="how what was learnt travels up: whole groups, or a sparse update; auto = dense, fedmchain: sign"
    )
    density: Share = Field(0.1, description="share of the coordinates of each tensor that a sparse update sends, the largest")
    error_feedback: bool = Field(True, description="what a sparse update leaves out is added to the node's next one")


class SscaConfig(Section):
    clusters: bool = Field(True, description="sparse-sign: average only the heaviest cluster of nodes whose signs agree")
    threshold: Annotated[float, Field(ge=-1, le=1)] = Field(0.0, description="least mean agreement of the signs within a cluster")
    elect: bool = Field(True, description="sparse-sign: each coordinate takes only the nodes that have the sign of the sum")
    mean_over: Literal["winners", "all"] = Field(
        "all", description="sparse-sign: whose weights a coordinate is divided by, of those with its sign or of all"
    )
    clip: Annotated[float, Field(gt=0)] = Field(3.0, description="largest norm of an update, in medians of the round")
    server_lr: Annotated[float, Field(gt=0)] = Field(1.0, description="step of the server along the averaged update")


class PrecisionConfig(Section):
    estimate: Literal["laplace", "mc-dropout", "fisher"] = Field(
        "laplace", description="where the predictive variance comes from"
    )


class GeoLoraConfig(Section):
    cka_weight: NonNegative = Field(1.0, description="weight of 1 - CKA(own Gram, consensus)")
    hsic: Literal["biased", "unbiased"] = Field("biased", description="HSIC estimator in CKA")
    consensus: Literal["uniform", "precision", "leave-own-out"] = Field("uniform", description="weights of the Gram consensus")
    frame_weight: NonNegative = Field(4.0, description="weight of pinning embeddings to the frame of the consensus")
    frame_loss: Literal["softmax", "cosine"] = Field("softmax", description="cross-entropy over the frame, or 1 - cos to it")
    frame_scale: float = Field(4.0, gt=0, description="inverse temperature of the softmax over the frame")
    pseudo_labels: Literal["none", "anchors", "head"] = Field("head", description="targets of samples without a label")
    pseudo_weight: NonNegative = Field(1.0, description="weight of the pseudo-label loss")
    pseudo_share: Share = Field(0.6, description="share of pseudo-labels of a class that round 1 keeps; later rounds keep more")
    prior: Literal["uniform", "none"] = Field("uniform", description="classes assumed even over all samples of a node, or not")
    consistency: bool = Field(True, description="pseudo-labelled samples are learnt in strong views")


class FedProtoConfig(Section):
    weight: NonNegative = Field(1.0, description="weight of the distance to the class prototypes")


class FusionConfig(Section):
    loss: Literal["separate", "joint"] = Field(
        "separate", description="a loss for each modality, or one of the summed logits of the modalities of a sample"
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="joint loss: chance that a modality is hidden in a step"
    )


class FedProxConfig(Section):
    mu: NonNegative = Field(0.01, description="weight of the distance to the model that came in")


class FedMChainConfig(Section):
    regulariser: Literal["boosting", "residual", "none"] = Field(
        "boosting", description="what a modality is asked to complement the others by"
    )
    weight: NonNegative = Field(0.5, description="weight of the regulariser; below 1 for residual")
    context: Literal["earlier", "others"] = Field(
        "others", description="whom a modality complements: those earlier in the chain, or all others once each has begun"
    )
    order: Literal["fixed", "weakest-first", "learning-speed"] = Field("fixed", description="order of the phases")
    passes: Count = Field(1, description="passes over the chain in a round, E")


class ParseConfig(Section):
    slice_width: Count = Field(24, description="dimensions of each of the three slices of an embedding")
    contrast_weight: NonNegative = Field(0.1, description="weight of drawing the redundant slices of an instance together")
    contrast_temperature: Annotated[float, Field(gt=0)] = Field(0.2, description="temperature of that contrastive loss")
    redundant_head: Literal["modality", "shared"] = Field(
        "modality", description="a head of the redundant slices for each modality, or one for all agents"
    )


class OverlayConfig(Section):
    kind: Literal["ring", "chordal-ring", "random-regular", "complete"] = Field(
        "chordal-ring", description="which agents are neighbours"
    )
    degree: Annotated[int, Field(ge=2, multiple_of=2)] = Field(
        4, description="neighbours of an agent in a random-regular overlay"
    )
    budget: Annotated[int, Field(ge=0)] = Field(0, description="most bytes of one message to a neighbour; 0: no bound")
    patience: Count = Field(3, description="rounds of silence after which an agent counts as gone")


class RunConfig(Section):
    """One run. Every field has a default in pyproject.toml that equals the one here (tested)."""

    method: str = Field("geolora", description="a name of `concord methods`")
    suite: str = Field("demo", description="a name of `concord data list`, or own: folders of your own files")
    scenario: str = Field("labelled", description="which labels and modalities nodes have, see docs/methods.md")
    data: str = Field("", description="folder with the data packs")
    anchors: str = Field("", description="folder of a public anchor set; empty: the suite's own, drawn by seed")
    encoders: str = Field("", description="who reads a modality, where it is not the usual one, as 'notes=word,scan=image'")
    run_folder: str = Field("", description="where the run is written; empty: by run id under ~/.concord/runs")
    resume: bool = Field(False, description="go on in run-folder after the last finished round, if there is one")
    seed: Annotated[int, Field(ge=0)] = Field(0, description="seed of splits, initial weights and batches")
    rounds: Count = Field(12, description="rounds in all")
    local_steps: Count = Field(20, description="optimiser steps of a node and round")
    batch_size: Count = Field(32, description="samples of a step")
    accumulate: Count = Field(1, description="batches whose mean gradient makes a step")
    lr: Annotated[float, Field(gt=0)] = Field(5e-3, description="learning rate of AdamW")
    weight_decay: NonNegative = Field(0.0, description="weight decay of AdamW")
    clip_norm: Annotated[float, Field(gt=0)] = Field(1.0, description="largest norm of a gradient")
    anchor_supervision: bool = Field(True, description="nodes learn from the labelled public anchors of their modality")
    augment: bool = Field(True, description="random views of training samples")
    min_replies: Count = Field(1, description="good replies that a round needs to count")
    min_nodes: Count = Field(1, description="nodes that must be connected before round 1")
    round_timeout: Annotated[float, Field(gt=0)] = Field(
        600.0, description="seconds until a round goes on without the silent nodes"
    )
    share_test_embeddings: bool = Field(False, description="nodes send embeddings of test samples, for the retrieval figures")
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = Field(
        "auto", description="auto (a GPU where there is one), cpu, cuda or cuda:N"
    )
    model: ModelConfig = ModelConfig()
    adapter: AdapterConfig = AdapterConfig()
    warmup: WarmupConfig = WarmupConfig()
    aggregation: AggregationConfig = AggregationConfig()
    update: UpdateConfig = UpdateConfig()
    ssca: SscaConfig = SscaConfig()
    precision: PrecisionConfig = PrecisionConfig()
    geolora: GeoLoraConfig = GeoLoraConfig()
    fedproto: FedProtoConfig = FedProtoConfig()
    fusion: FusionConfig = FusionConfig()
    fedprox: FedProxConfig = FedProxConfig()
    fedmchain: FedMChainConfig = FedMChainConfig()
    parse: ParseConfig = ParseConfig()
    overlay: OverlayConfig = OverlayConfig()
    graph: GraphConfig = GraphConfig()
    stage: StageConfig = StageConfig()

    @property
    def encoder_names(self) -> Mapping[str, str]:
        """`encoders` as a mapping from modality to the name of an encoder; ConcordError C102 where it cannot be read."""
        names: dict[str, str] = {}
        for part in filter(None, (p.strip() for p in self.encoders.split(","))):
            modality, _, name = (word.strip() for word in part.partition("="))
            if not modality or not name or modality in names:
                raise ConcordError("C102", f"encoders: {part!r}", "write modality=encoder, each modality once, as 'notes=word'")
            names[modality] = name
        return names

    @property
    def of_graphs(self) -> bool:
        """Whether its suite is one of graphs."""
        return self.suite in GRAPH_SUITES

    @property
    def task(self) -> Task:
        """What is learnt of a graph."""
        return task_of(self.scenario)

    @property
    def architecture(self) -> str:
        """The network of a graph."""
        return self._auto("graph.architecture", "gcn") if self.graph.architecture == "auto" else self.graph.architecture

    @property
    def controls_homophily(self) -> bool:
        """Whether nodes of a graph set how they listen to their neighbours by STAGE, and parties tell of it."""
        return self.method == "stage" and self.stage.homophily_control

    @property
    def keeps_table(self) -> bool:
        """Whether parties to a graph tell moments at the anchors, by STAGE: where the table of all is learnt from."""
        return self.method == "stage" and (self.stage.agreement_weight > 0 or self.stage.prior == "usage")

    @property
    def grounds_classes(self) -> bool:
        """Whether parties to a graph tell class means of their features, by STAGE."""
        return self.method == "stage" and self.task == "classes" and self.stage.grounding_weight > 0

    @property
    def adapter_kind(self) -> str:
        """What is trained in the trunk."""
        return self._auto("adapter.kind", "dora") if self.adapter.kind == "auto" else self.adapter.kind

    @property
    def adapter_scope(self) -> Scope:
        """Whether modalities share an adapter of the trunk."""
        if self.adapter.scope == "auto":
            return "modality" if self._auto("adapter.scope", "shared") == "modality" else "shared"
        return self.adapter.scope

    @property
    def head_scope(self) -> HeadScope:
        """Who shares a head; the scenario ``local-heads`` keeps all of them at home."""
        if "local-heads" in scenario_words(self.scenario):
            return "local"
        return self.adapter_scope if self.model.head == "auto" else self.model.head

    @property
    def update_values(self) -> str:
        """How what was learnt travels up: ``dense``, or the value coding of a sparse update."""
        return self._auto("update.values", "dense") if self.update.values == "auto" else self.update.values

    def _auto(self, key: str, usual: str) -> str:
        return AUTO.get(self.method, {}).get(key, usual)

    def rank_of(self, modalities: Iterable[str]) -> int:
        """Adapter rank of a node that holds `modalities`: the smallest that any of them asks for."""
        return min([self.adapter.rank, *(r for m, r in self.adapter.ranks().items() if m in set(modalities))])

    def flat(self) -> dict[str, Scalar]:
        """The configuration as Flower's flat mapping of dotted kebab-case keys."""
        return dict(flatten(self.model_dump(by_alias=True)))


@cache
def known_keys() -> tuple[str, ...]:
    """All dotted keys, in the order of declaration."""
    return tuple(RunConfig().flat())


def parse_config(flat: Mapping[str, Any]) -> RunConfig:
    """Checks a flat run config.

    Raises:
        ConcordError: C101 for an unknown key (with the nearest known ones), C102 for a wrong type or value.
    """
    for key in flat:
        if key not in known_keys():
            raise ConcordError("C101", f"no key {key!r}", did_you_mean(key, known_keys(), "see `concord config` for all keys"))
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *path, leaf = key.split(".")
        section = nested
        for part in path:
            section = section.setdefault(part, {})
        section[leaf] = value
    try:
        return RunConfig.model_validate(nested)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConcordError(
            "C102", f"{key} = {first['input']!r}: {first['msg']}", f"change {key}; `concord config` shows type and default"
        ) from error


def default_run_folder(run_id: int) -> str:
    """Where a run is written that names no folder: ``$CONCORD_RUNS`` or ``~/.concord/runs``, by Flower's run id."""
    return str(Path(os.environ.get("CONCORD_RUNS", Path.home() / ".concord" / "runs")) / str(run_id))


def flatten(nested: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Scalar]]:
    """Dotted keys and scalars of nested tables, in order."""
    flat: list[tuple[str, Scalar]] = []
    for key, value in nested.items():
        flat += flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, value)]
    return flat


def toml_table(config: RunConfig) -> str:
    """``[tool.flwr.app.config]`` of pyproject.toml with every key of `config`: one table a section."""
    tables: dict[str, list[str]] = {"": []}
    for key, value in config.flat().items():
        section, _, leaf = key.rpartition(".")
        text = json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else repr(value)
        tables.setdefault(section, []).append(f"{leaf} = {text}\n")
    headings = (".".join(filter(None, ("tool.flwr.app.config", section))) for section in tables)
    return "\n".join(f"[{heading}]\n{''.join(lines)}" for heading, lines in zip(headings, tables.values(), strict=True))


if __name__ == "__main__":
    print(toml_table(RunConfig()), end="")
