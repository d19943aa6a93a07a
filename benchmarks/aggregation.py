"""Time and memory of averaging many large updates: `python -m benchmarks.aggregation [--nodes N] [--markdown FILE]`.

Sparse sign-guided aggregation (agreement, clusters, elected signs) by Concord's rule, from the bytes that arrive to the
new group; the same in straightforward NumPy on dense arrays; and Flower's own weighted average of dense arrays, which
does none of that. Each in a process of its own and all of the same updates: a direction that the nodes share, noise, a
fifth of the nodes with the sign flipped, the largest values sent in 8 bits. Choosing these and coding them is the nodes'
part and not timed.

Memory is the largest resident set while aggregating (`getrusage`, after the kernel was told to forget the largest so far):
above the interpreter with its libraries, and above that and the inputs.

Legend: K nodes, P parameters, M nodes in the heaviest cluster.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
import torch
from flwr.app import Array, ArrayRecord, MetricRecord, RecordDict
from flwr.serverapp.strategy.strategy_utils import aggregate_arrayrecords
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from benchmarks.sparse_wire import tensor_sizes
from concord.config import SscaConfig
from concord.functional.sparse import SparseUpdate, top_k
from concord.wire.messages import SCHEMA_VERSION, decode, encode
from concord.wire.sparse import sparse_from_wire, sparse_to_wire
from concord.wire.v1 import federation_pb2 as pb
from strategies.rules import SparseSign
from strategies.updates import Update

Floats = NDArray[np.float32]

THRESHOLD = 0.0
PLAIN = SscaConfig(threshold=THRESHOLD, clip=1e9, mean_over="winners")  # as NumPy below: no clipping
RULE = SparseSign(cap=1.0, settings=PLAIN)
FLIPPED = 5  # every fifth node
WEIGHT = "examples"
MIB = 2**20
HEADING = """# Aggregation

Made by `python -m benchmarks.aggregation --nodes {nodes} --parameters {parameters} --density {density} --repeats {repeats}`
on {cores} cores. Aims: 10 times faster than straightforward NumPy, and memory for a few updates, not for all.

"""


@dataclass(frozen=True)
class Measured:
    """One way to aggregate.

    Attributes:
        seconds: of each repeat.
        peak: bytes of the largest resident set above the interpreter and its libraries.
        beside_inputs: the same above the inputs too.
        norm: Euclidean norm of the result.
        projection: its product with a fixed random vector.
    """

    seconds: list[float]
    peak: int
    beside_inputs: int
    norm: float
    projection: float


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.aggregation", description=__doc__.split("\n")[0])
    parser.add_argument("--nodes", type=int, default=100, help="updates (default 100)")
    parser.add_argument("--parameters", type=int, default=10_000_000, help="parameters of an update (default 10000000)")
    parser.add_argument("--density", type=float, default=0.01, help="share of them that is sent (default 0.01)")
    parser.add_argument("--repeats", type=int, default=3, help="times that each is done (default 3)")
    parser.add_argument("--markdown", type=Path, help="write the table here too")
    parser.add_argument("--part", choices=WAYS, help=argparse.SUPPRESS)  # what a process of the benchmark is for
    parser.add_argument("--updates", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        print(json.dumps(asdict(measure(options.part, options.updates, options.parameters, options.repeats))))
        return
    with tempfile.TemporaryDirectory(prefix="concord-") as folder:
        write_updates(Path(folder), options.nodes, options.parameters, options.density)
        found = {name: run_part(name, Path(folder), options.parameters, options.repeats) for name in WAYS}
    check_equal(found["concord"], found["numpy"])
    text = table(found, options.parameters)
    print(text)
    if options.markdown:
        fields = {name: getattr(options, name) for name in ("nodes", "parameters", "density", "repeats")}
        options.markdown.write_text(HEADING.format(**fields, cores=psutil.cpu_count()) + text + "\n")


def table(found: dict[str, Measured], parameters: int) -> str:
    """Medians and ratios, memory in MiB and in dense updates."""
    ours = median(found["concord"].seconds)
    lines = [
        "| | seconds (median) | relative | peak MiB | beside inputs MiB | beside inputs, in dense updates |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, (title, _, _) in WAYS.items():
        seconds, updates = median(found[name].seconds), found[name].beside_inputs / (4 * parameters)
        memory = f"{found[name].peak / MIB:.0f} | {found[name].beside_inputs / MIB:.0f} | {updates:.1f}"
        lines.append(f"| {title} | {seconds:.2f} | {seconds / ours:.2f} | {memory} |")
    return "\n".join(lines)


def check_equal(one: Measured, other: Measured) -> None:
    """RuntimeError unless two ways gave the same result, up to float32 rounding."""
    if abs(one.norm - other.norm) > 1e-4 * other.norm or abs(one.projection - other.projection) > 1e-3 * other.norm:
        raise RuntimeError(f"two ways to aggregate disagree: {one} and {other}")


def run_part(name: str, folder: Path, parameters: int, repeats: int) -> Measured:
    """Measures one way in a process of its own."""
    size = ["--parameters", str(parameters), "--repeats", str(repeats)]
    command = [sys.executable, "-m", "benchmarks.aggregation", "--part", name, "--updates", str(folder), *size]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def measure(name: str, folder: Path, parameters: int, repeats: int) -> Measured:
    """Time of each repeat, and memory, of one way in this process."""
    _, prepare, aggregate = WAYS[name]
    bare = psutil.Process().memory_info().rss
    inputs = prepare(folder, tensor_sizes(parameters))
    ctypes.CDLL(None).malloc_trim(0)  # what making the inputs has left behind is no memory of theirs
    with_inputs = psutil.Process().memory_info().rss
    Path("/proc/self/clear_refs").write_text("5")
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = aggregate(inputs)
        seconds.append(time.perf_counter() - start)
        norm, projection = float(np.linalg.norm(result)), project(result)
        del result  # it must not count in the memory of the next
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Measured(seconds, peak - bare, peak - with_inputs, norm, projection)


def project(result: Floats) -> float:
    """The product with a random vector, in parts: no second array of that size counts in the memory."""
    draw = np.random.default_rng(0)
    return float(sum(part @ draw.standard_normal(len(part), np.float32) for part in np.array_split(result, 64)))


def write_updates(folder: Path, nodes: int, parameters: int, density: float) -> None:
    """One file a node with the report that it would send."""
    sizes = tensor_sizes(parameters)
    shared_P = torch.randn(parameters, generator=torch.Generator().manual_seed(nodes))
    for k in range(nodes):
        noise_P = torch.randn(parameters, generator=torch.Generator().manual_seed(k))
        sign = -1 if k % FLIPPED == FLIPPED - 1 else 1
        update = top_k(noise_P.add_(shared_P, alpha=0.5 * sign), sizes, density)
        claim = pb.GroupClaim(examples=1 + k % 7, sparse=sparse_to_wire(update, sizes, pb.VALUE_CODING_INT8))
        (folder / f"{k:04d}").write_bytes(encode(pb.Report(schema_version=SCHEMA_VERSION, groups=[claim])))


def read_update(report: bytes, sizes: list[int]) -> tuple[SparseUpdate, int]:
    """The update in a report, and its examples."""
    claim = decode(pb.Report, report).groups[0]
    return sparse_from_wire(claim.sparse, sizes), claim.examples


def reports_in(folder: Path) -> list[bytes]:
    """What arrived, by node."""
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def prepare_ours(folder: Path, sizes: list[int]) -> tuple[list[bytes], list[int]]:
    return reports_in(folder), sizes


def aggregate_ours(inputs: tuple[list[bytes], list[int]]) -> Floats:
    """From bytes to the new group, by the rule that runs use; a group of zeros becomes the step itself."""
    reports, sizes = inputs
    read = (read_update(report, sizes) for report in reports)
    updates = [Update(str(k), {}, examples, sparse=update) for k, (update, examples) in enumerate(read)]
    return RULE.average({"group": torch.zeros(sum(sizes))}, updates).tensors["group"].numpy()


def prepare_numpy(folder: Path, sizes: list[int]) -> tuple[Floats, Floats]:
    """Dense updates [K, P] and examples [K]."""
    reports = reports_in(folder)
    updates_KP, examples_K = np.zeros((len(reports), sum(sizes)), np.float32), np.zeros(len(reports), np.float32)
    for k, report in enumerate(reports):
        update, examples_K[k] = read_update(report, sizes)
        updates_KP[k, update.index_K.numpy()] = update.value_K.numpy()
    return updates_KP, examples_K


def aggregate_numpy(inputs: tuple[Floats, Floats]) -> Floats:
    """As one writes the formulas down."""
    updates_KP, examples_K = inputs
    distance_KK = 1 - dense_agreement(updates_KP)
    label_K = fcluster(linkage(squareform(distance_KK, checks=False), "average"), 1 - THRESHOLD, "distance")
    heaviest = max(set(label_K), key=lambda label: examples_K[label_K == label].sum())
    chosen_MP, weight_M1 = updates_KP[label_K == heaviest], examples_K[label_K == heaviest, None]
    gamma_P = np.sign((weight_M1 * chosen_MP).sum(axis=0))
    voted_MP = (np.sign(chosen_MP) == gamma_P) & (gamma_P != 0)
    total_P = (weight_M1 * chosen_MP * voted_MP).sum(axis=0)
    return np.asarray(total_P / np.maximum((weight_M1 * voted_MP).sum(axis=0), 1))


def dense_agreement(updates_KP: Floats) -> Floats:
    """sum_c s_ic s_jc / |supp_i & supp_j|, shape [K, K]."""
    sign_KP = np.sign(updates_KP)
    has_KP = np.abs(sign_KP)
    return np.asarray((sign_KP @ sign_KP.T) / np.maximum(has_KP @ has_KP.T, 1))


def prepare_flower(folder: Path, sizes: list[int]) -> list[RecordDict]:
    """Replies as Flower's FedAvg takes them, one dense array each."""
    replies = []
    for report in reports_in(folder):
        update, examples = read_update(report, sizes)
        arrays = ArrayRecord({"update": Array(update.dense().numpy())})
        replies.append(RecordDict({"arrays": arrays, "metrics": MetricRecord({WEIGHT: examples})}))
    return replies


def aggregate_flower(replies: list[RecordDict]) -> Floats:
    """The weighted mean of all, with flipped nodes in it."""
    return np.asarray(aggregate_arrayrecords(replies, WEIGHT)["update"].numpy())


WAYS: dict[str, tuple[str, Callable[[Path, list[int]], Any], Callable[[Any], Floats]]] = {
    "concord": ("Concord, from bytes", prepare_ours, aggregate_ours),
    "numpy": ("straightforward NumPy, dense", prepare_numpy, aggregate_numpy),
    "flower": ("Flower's weighted average, dense", prepare_flower, aggregate_flower),
}


if __name__ == "__main__":
    main()
