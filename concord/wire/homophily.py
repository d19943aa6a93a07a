"""How nodes listen to their neighbours by local homophily, as messages: counts and means of bins, none of a few nodes.

Legend: B bins; the 2 means of a bin are of temperature and gate.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from concord.wire.messages import WireError
from concord.wire.v1 import federation_pb2 as pb

BINS = 10
FEWEST = 5  # nodes of a bin: the mean of fewer would tell of each of them
HOTTEST = 100.0  # temperature: from here on the shares of any two neighbours differ by 2 % at most


def homophily_to_wire(mean_B2: Tensor, count_B: Tensor) -> list[pb.HomophilyBin]:
    """The bins with enough nodes; a temperature above `HOTTEST` is cut to it."""
    return [
        pb.HomophilyBin(bin=b, nodes=nodes, temperature=min(temperature, HOTTEST), gate=gate)
        for b, (nodes, (temperature, gate)) in enumerate(zip(count_B.tolist(), mean_B2.tolist(), strict=True))
        if nodes >= FEWEST
    ]


def homophily_from_wire(told: Sequence[pb.HomophilyBin]) -> tuple[Tensor, Tensor]:
    """Means [B, 2] and counts [B], zero for a bin that is not there.

    Raises:
        WireError: unless bins ascend, have enough nodes, temperatures above zero and no hotter than `HOTTEST`, and gates that
            are shares.
    """
    mean_B2, count_B = torch.zeros(BINS, 2, dtype=torch.float64), torch.zeros(BINS, dtype=torch.int64)
    last = -1
    for one in told:
        if not last < one.bin < BINS:
            raise WireError(f"bin {one.bin} of homophily after bin {last}, of {BINS}")
        if one.nodes < FEWEST:
            raise WireError(f"a bin of homophily of {one.nodes} nodes, none is told of fewer than {FEWEST}")
        if not (0 < one.temperature <= HOTTEST and 0 <= one.gate <= 1):  # also where one is no number
            raise WireError(f"a bin of homophily with temperature {one.temperature:.4g} and gate {one.gate:.4g}")
        mean_B2[one.bin] = torch.tensor([one.temperature, one.gate], dtype=torch.float64)
        count_B[one.bin] = one.nodes
        last = one.bin
    return mean_B2, count_B
