"""What every party of a federation agrees on: configuration, tensor functions, anchors and the wire.

`load_model` is here for people, as the command line is: it looks into the package of nodes, inside the function.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from client_app.inference.trained import TrainedModel


def load_model(folder: Path | str, device: str = "auto") -> TrainedModel:
    """The model that a run has left in its folder; see `client_app.inference.folder.load_model`."""
    from client_app.inference import folder as models

    return models.load_model(folder, device)
