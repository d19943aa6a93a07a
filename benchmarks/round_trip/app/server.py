"""Times messages to one node: empty, packed, one array a tensor, in turns; then Flower's FedAvg loop beside them."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from strategies.exchange import exchange

TENSORS, ROWS, COLUMNS = 448, 8, 1000  # 32 KB each, 14 MB in all

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Writes every timing to ``out``, in seconds."""
    while not list(grid.get_node_ids()):
        time.sleep(0.2)
    (node,) = grid.get_node_ids()
    tensors = np.random.default_rng(0).standard_normal((TENSORS, ROWS, COLUMNS)).astype(np.float32)
    layouts: dict[str, Callable[[], ArrayRecord]] = {
        "empty": lambda: ArrayRecord({"none": Array(np.zeros(1, np.float32))}),
        "packed": lambda: ArrayRecord({"group": Array(tensors.reshape(-1))}),
        "one array a tensor": lambda: ArrayRecord({f"t{i:03}": Array(tensor) for i, tensor in enumerate(tensors)}),
    }
    repeats = int(context.run_config["repeats"])
    trips: dict[str, list[dict[str, float]]] = {name: [] for name in layouts}
    for _ in range(repeats):
        for name, layout in layouts.items():
            trips[name].append(_trip(grid, node, RecordDict({"arrays": layout()})))
    rounds = []
    strategy = FedAvg(min_train_nodes=1, min_evaluate_nodes=1, min_available_nodes=1)
    for _ in range(repeats):
        started = time.monotonic()
        strategy.start(grid, ArrayRecord({"none": Array(np.zeros(1, np.float32))}), num_rounds=1)
        rounds.append(time.monotonic() - started)
    Path(str(context.run_config["out"])).write_text(json.dumps({"trips": trips, "fedavg": rounds}))


def _trip(grid: Grid, node: int, content: RecordDict) -> dict[str, float]:
    """One message and its reply, as a strategy of Concord sends it: the whole, and the parts of it."""
    started = time.time()
    replies = exchange(grid, [Message(content, dst_node_id=node, message_type="train", ttl=600)], timeout=600)
    ended = time.time()
    metrics = cast(MetricRecord, replies[node].content["metrics"])
    told = {name: cast(float, metrics[name]) for name in ("process", "app", "handler")}
    return {
        "all": ended - started,
        "message there, and polls until the ClientApp process starts": told["process"] - started,
        "process start, Flower's imports": told["app"] - told["process"],
        "message from the SuperNode to the handler": told["handler"] - told["app"],
        "reply back, through both databases, and polls": ended - told["handler"],
    }
