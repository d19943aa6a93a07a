"""Pictures for the encoder of small grey images."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from client_app.data.preparation.raw import Picture

SIDE = 32


def prepare(picture_HW3: Picture) -> Tensor:
    """Grey levels [32, 32] in 0..1 of a picture of any size; one that is not square is stretched."""
    grey = Image.fromarray(picture_HW3).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    return torch.from_numpy(np.asarray(grey, np.float32) / 255)
