"""Whether the model of a run can be built at all, told before anything starts."""

from __future__ import annotations

from collections.abc import Sequence

from client_app.agents.methods import AGENT_METHODS, build_model
from client_app.model import MultimodalModel
from concord.config import RunConfig
from concord.errors import ConcordError

CLASSES = 2  # any number: it is no setting


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
