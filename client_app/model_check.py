"""Whether the model of a run can be built at all, told before anything starts."""

from __future__ import annotations

from collections.abc import Sequence

from client_app.agents.methods import AGENT_METHODS, build_model
from client_app.graphs.registry import build_network
from client_app.model import MultimodalModel
from concord.anchors import AnchorSet
from concord.config import RunConfig
from concord.errors import ConcordError
from concord.wire.class_means import MOST_VALUES

CLASSES = 2  # any number: it is no setting


def model_width(config: RunConfig, anchors: AnchorSet) -> int:
    """The width of what nodes tell of their samples, after building the model of a node that has all modalities once.

    Raises:
        ConcordError: C103, when the settings make no model, or a package is missing that it needs.
    """
    if config.of_graphs:
        _check_class_means(config, anchors)
        return build_network(config, feature_widths(anchors), CLASSES).width
    return check_model(config, sorted(anchors.modalities))


def feature_widths(anchors: AnchorSet) -> dict[str, int]:
    """Features of each modality of a graph; 1 where parties have encoders of their own, for a network has to have some."""
    return {modality: max(1, samples.x.shape[1]) for modality, samples in anchors.modalities.items()}


def _check_class_means(config: RunConfig, anchors: AnchorSet) -> None:
    """ConcordError C103, where class means of features would be more than a message takes."""
    for modality, features in feature_widths(anchors).items():
        if config.grounds_classes and features * len(anchors.concepts) > MOST_VALUES:
            what = f"class means of {features} features of {modality} and {len(anchors.concepts)} classes"
            hint = "set stage.grounding-weight = 0, or bring fewer features"
            raise ConcordError("C103", f"{what} are more than the {MOST_VALUES} values that travel", hint)


def check_model(config: RunConfig, modalities: Sequence[str]) -> int:
    """Builds the model of a node of all modalities once; the width of its shared space, or of an agent's slices.

    Raises:
        ConcordError: C103, when transformers or peft refuse its settings.
    """
    try:
        if config.method in AGENT_METHODS:
            build_model(config, modalities, CLASSES)
            return config.parse.slice_width
        return MultimodalModel(config, modalities, CLASSES).width
    except ValueError as error:
        raise ConcordError("C103", f"the model cannot be built: {error}", "change the settings model.* or adapter.*") from error
