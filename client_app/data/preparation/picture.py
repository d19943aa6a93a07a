"""Pictures for the encoder of small colour pictures."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from client_app.data.preparation.raw import Picture

SIDE = 32


def prepare(picture_HW3: Picture) -> Tensor:
    """Colours [3, 32, 32] in 0..1 of a picture of any size; one that is not square is stretched."""
    small = Image.fromarray(picture_HW3).resize((SIDE, SIDE), Image.Resampling.BOX)
    return torch.from_numpy(np.asarray(small, np.float32) / 255).permute(2, 0, 1).contiguous()
