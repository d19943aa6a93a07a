"""Samples as files hold them, before they are prepared for an encoder: one type a kind.

Legend: H height and W width in pixels, T times, K channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["image", "audio", "text", "series", "table"]
Picture = NDArray[np.uint8]  # [H, W, 3], red, green, blue
Series = NDArray[np.float32]  # [T, K]
Row = dict[str, float | str | None]  # by column; None: a gap


@dataclass(frozen=True)
class Waveform:
    """One channel of sound.

    Attributes:
        samples: amplitudes in -1..1, shape [T], float32.
        rate: samples a second.
    """

    samples: NDArray[np.float32]
    rate: int
