"""Means and masses at the anchors of a shared space as messages.

Legend: K anchors, D width.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from concord.wire.messages import WireError
from concord.wire.v1 import federation_pb2 as pb

LARGEST = 65504.0  # of float16


def moments_to_wire(mean_KD: Tensor, mass_K: Tensor) -> pb.AnchorMoments:
    """The anchors with a mass; a mean beyond what float16 holds is cut to its largest value."""
    here_K = mass_K > 0
    return pb.AnchorMoments(
        anchors=len(mass_K),
        width=mean_KD.shape[1],
        mask=np.packbits(here_K.numpy(), bitorder="little").tobytes(),
        means=mean_KD[here_K].clamp(-LARGEST, LARGEST).numpy().astype("<f2").tobytes(),
        masses=mass_K[here_K].tolist(),
    )


def moments_from_wire(message: pb.AnchorMoments, anchors: int, width: int) -> tuple[Tensor, Tensor]:
    """Means [K, D], zero where there are none, and masses [K].

    Raises:
        WireError: unless they are of K anchors and width D, finite, and every mass is above zero.
    """
    if (message.anchors, message.width) != (anchors, width) or len(message.mask) != (anchors + 7) // 8:
        raise WireError(f"moments of {message.anchors} anchors of width {message.width} where there are {anchors} of {width}")
    bits = np.unpackbits(np.frombuffer(message.mask, dtype=np.uint8), bitorder="little")
    here_K = torch.from_numpy(bits[:anchors].astype(bool))
    present = int(here_K.sum())
    if bits[anchors:].any() or len(message.masses) != present or len(message.means) != 2 * present * width:
        raise WireError(f"moments with {len(message.masses)} masses and {len(message.means)} bytes for {present} anchors")
    means = torch.from_numpy(np.frombuffer(message.means, dtype="<f2").astype(np.float32)).reshape(present, width)
    masses = torch.tensor(message.masses, dtype=torch.float32)
    if not bool(means.isfinite().all()) or not bool((masses.isfinite() & (masses > 0)).all()):
        raise WireError("moments with a value that is not finite, or a mass that is not above zero")
    mean_KD, mass_K = torch.zeros(anchors, width), torch.zeros(anchors)
    mean_KD[here_K], mass_K[here_K] = means, masses
    return mean_KD, mass_K
