"""Prints bits per parameter of sparse updates beside their entropy: `python -m benchmarks.sparse_wire [--markdown FILE]`.

An update of normally distributed values in tensors of several sizes, its largest coordinates sent. Entropy: P H(K / P) for
which coordinates, and for the values the zero-order empirical entropy of the bytes (of SIGN, the bits) that stand for
them, a plane at a time. Bits: those of the whole serialised message, scales and lengths included.

Legend: P parameters, K of them sent, W bytes of a value.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from math import log2
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from concord.functional.sparse import top_k
from concord.wire.messages import encode
from concord.wire.sparse import sparse_to_wire
from concord.wire.v1 import federation_pb2 as pb
from concord.wire.values import Coding, code_values

DENSITIES = (0.001, 0.01, 0.05, 0.1, 0.3, 1.0)
CODINGS = (pb.VALUE_CODING_FLOAT32, pb.VALUE_CODING_FLOAT16, pb.VALUE_CODING_INT8, pb.VALUE_CODING_SIGN)
PREFIX = "VALUE_CODING_"
HEADING = """# Sparse updates on the wire

Made by `python -m benchmarks.sparse_wire --parameters {parameters}`: bits per parameter of the whole message, beside the
entropy of what was sent; aim: within 10 %. Saving: against 32 bits a parameter.

"""


@dataclass(frozen=True)
class Row:
    """Bits a parameter: of which coordinates, of their values, and of the message."""

    support_entropy: float
    value_entropy: float
    bits: float

    @property
    def entropy(self) -> float:
        return self.support_entropy + self.value_entropy


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sparse_wire", description=__doc__.split("\n")[0])
    parser.add_argument("--parameters", type=int, default=4_000_000, help="parameters of the group (default 4000000)")
    parser.add_argument("--markdown", type=Path, help="write the table here too")
    options = parser.parse_args()
    text = table(options.parameters)
    print(text)
    if options.markdown:
        options.markdown.write_text(HEADING.format(parameters=options.parameters) + text + "\n")


def table(parameters: int) -> str:
    """One row a density and coding."""
    lines = [
        "| density | values | entropy: which | entropy: values | entropy | bits per parameter | ratio | saving |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for density in DENSITIES:
        for coding in CODINGS:
            row = measured(parameters, density, coding)
            lines.append(
                f"| {density:g} | {pb.ValueCoding.Name(coding).removeprefix(PREFIX).lower()} | {row.support_entropy:.4f} "
                f"| {row.value_entropy:.4f} | {row.entropy:.4f} | {row.bits:.4f} | {row.bits / row.entropy:.3f} "
                f"| {32 / row.bits:.0f} times |"
            )
    return "\n".join(lines)


def measured(parameters: int, density: float, coding: Coding) -> Row:
    """What one update of so many parameters takes, and its entropy."""
    sizes = tensor_sizes(parameters)
    values_P = torch.cat([torch.randn(n, generator=torch.Generator().manual_seed(n)) * 2.0**-i for i, n in enumerate(sizes)])
    update = top_k(values_P, sizes, density)
    message = sparse_to_wire(update, sizes, coding)
    counts = np.diff(np.searchsorted(update.index_K.numpy(), np.cumsum([0, *sizes])))
    planes_WK = code_values(update.value_K.numpy(), counts, coding).plane_WK
    symbols = np.unpackbits(planes_WK, axis=1, count=int(counts.sum())) if coding == pb.VALUE_CODING_SIGN else planes_WK
    share = len(update.index_K) / parameters
    return Row(
        support_entropy=sum(-p * log2(p) for p in (share, 1 - share) if p > 0),
        value_entropy=share * sum(entropy(plane) for plane in symbols),
        bits=8 * len(encode(message)) / parameters,
    )


def tensor_sizes(parameters: int) -> list[int]:
    """Tensors of half the parameters, a quarter and so on down to a sixteenth, twice."""
    sizes = [parameters >> i for i in (1, 2, 3, 4)]
    return [*sizes, parameters - sum(sizes)]


def entropy(symbols: NDArray[np.uint8]) -> float:
    """Zero-order empirical entropy of the symbols, in bits a symbol."""
    count = np.bincount(symbols)
    p = count[count > 0] / len(symbols)
    return float(-(p * np.log2(p)).sum())


if __name__ == "__main__":
    main()
