"""Sections of the configuration that only runs on graphs read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from concord.graphs import Architecture
from concord.section import Count, NonNegative, Section


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
