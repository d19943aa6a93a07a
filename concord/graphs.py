"""What is particular to runs on graphs: their suites, methods, drifts and tasks, and the sections of the configuration."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from concord.section import Count, NonNegative, Section

GRAPHS = ("citation", "heterophily", "world")  # suites that share out a published graph
OWN_GRAPH = "own-graph"  # a suite without packs: each folder is a party's part of a graph
GRAPH_SUITES = (*GRAPHS, OWN_GRAPH)
GRAPH_METHODS = ("stage", "fedavg", "fedproto", "local", "centralised")
Drift = Literal["none", "encoder", "rotation"]
DRIFTS: tuple[Drift, ...] = get_args(Drift)
Task = Literal["classes", "links", "retrieval"]
TASKS: tuple[Task, ...] = get_args(Task)
Architecture = Literal["gcn", "sage", "mlp", "stage"]
LINKS = "links"  # kind of the questions which node is linked to one


class GraphConfig(Section):
    architecture: Literal["auto", Architecture] = Field(
        "auto", description="network of a graph; auto = gcn, of method stage: stage; gcn and sage need PyTorch Geometric"
    )
    hidden: Count = Field(64, description="width of the hidden layers")
    layers: Count = Field(2, description="layers")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.5, description="dropout of features and hidden layers")
    retrieval_temperature: Annotated[float, Field(gt=0)] = Field(
        0.1, description="task=retrieval: temperature of the contrast between modalities"
    )
    l2: NonNegative = Field(5e-4, description="weight of the squared norm of the weights, added to the gradient of Adam")


class StageConfig(Section):
    anchors: Annotated[int, Field(ge=2)] = Field(16, description="anchors K of the shared space")
    width: Annotated[int, Field(ge=2)] = Field(32, description="dimensions D of the shared space")
    anchor_temperature: Annotated[float, Field(gt=0)] = Field(0.1, description="temperature of the shares of anchors")
    calibration_weight: NonNegative = Field(0.01, description="weight of KL(shares, prior)")
    prior: Literal["uniform", "usage"] = Field(
        "uniform", description="prior of the shares: uniform, or how all parties use anchors"
    )
    entropy_weight: NonNegative = Field(1e-4, description="weight of minus the entropy of the mean share")
    agreement_weight: NonNegative = Field(1e-3, description="weight of InfoNCE against the prototypes of all parties")
    temperature: Annotated[float, Field(gt=0)] = Field(0.2, description="temperature of that InfoNCE")
    inertia: Annotated[float, Field(ge=0, lt=1)] = Field(0.5, description="share of a prototype that stays in a round")
    grounding_weight: NonNegative = Field(5.0, description="weight of agreeing with the class means of all; 0: none travel")
    grounding_count: NonNegative = Field(1.0, description="labelled nodes that what others tell of a class counts like")
    grounding_temperature: Annotated[float, Field(gt=0)] = Field(0.1, description="temperature of cosines with class means")
    own_features: bool = Field(True, description="a party's features are propagated beside their translation")
    neighbour_weights: bool = Field(True, description="neighbours go through weights of their own; else a node's, as in a GCN")
    homophily_control: bool = Field(True, description="a node's temperature and gate follow its neighbours; else 1 and a half")


def direction(query: str, gallery: str) -> str:
    """Kind of the questions which node a view of one modality is of, among views of another."""
    return f"{query}->{gallery}"


def feature_encoder(features: int) -> str:
    """Name under which a party's census says how many features a modality has."""
    return f"features-{features}"
