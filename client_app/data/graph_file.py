"""A party's graph as one safetensors file, and back, sure to be a graph.

Legend: N nodes.
"""

from __future__ import annotations

import json

import torch
from safetensors.torch import load, save
from torch import Tensor

from client_app.data.graph import TEST, TRAIN, VALIDATION, NodeGraph

PARTS = (TRAIN, VALIDATION, TEST)


def graph_to_bytes(graph: NodeGraph) -> bytes:
    """The file; modalities in the order of the graph."""
    tensors = {f"x/{m}": x for m, x in graph.x.items()} | {f"present/{m}": has for m, has in graph.present.items()}
    tensors |= {f"question/{split}": rows for split, rows in graph.questions.items()}
    tensors |= {f"part/{part}": nodes for part, nodes in graph.parts.items()} | {"y": graph.y, "edges": graph.edges}
    names = torch.frombuffer(bytearray(json.dumps([graph.modalities, graph.ids]).encode()), dtype=torch.uint8)
    return save({name: tensor.contiguous() for name, tensor in tensors.items()} | {"names": names})


def graph_from_bytes(name: str, content: bytes) -> NodeGraph:
    """The graph in a file.

    Raises:
        KeyError, TypeError, ValueError, SafetensorError: it is none, with what is wrong.
    """
    tensors = load(content)
    modalities, ids = json.loads(bytes(tensors["names"].tolist()))
    graph = NodeGraph(
        name,
        {str(m): tensors[f"x/{m}"] for m in modalities},
        {str(m): tensors[f"present/{m}"] for m in modalities},
        tensors["y"],
        tensors["edges"],
        {part: tensors[f"part/{part}"] for part in PARTS},
        tuple(map(str, ids)),
        {split: tensors[f"question/{split}"] for split in (VALIDATION, TEST) if f"question/{split}" in tensors},
    )
    _check(graph)
    return graph


def _check(graph: NodeGraph) -> None:
    nodes = len(graph)
    if not graph.modalities:
        raise ValueError("no modality")
    if graph.y.shape != (nodes,) or graph.y.dtype != torch.int64:
        raise ValueError(f"labels are {_shape(graph.y)}, not int64 [{nodes}]")
    if graph.edges.dim() != 2 or graph.edges.shape[0] != 2 or not _indices(graph.edges.flatten(), nodes):
        raise ValueError(f"edges are {_shape(graph.edges)}, not int64 [2, E] below {nodes}")
    for part, index in graph.parts.items():
        if not _indices(index, nodes) or len(index.unique()) < len(index):
            raise ValueError(f"part {part} is {_shape(index)}, not distinct nodes below {nodes}")
        if part == TRAIN and bool((graph.y[index] < 0).any()):
            raise ValueError("a node to learn from has no class")
    for split, rows in graph.questions.items():
        sound = rows.dim() == 2 and rows.shape[1] >= 2 and _indices(rows[:, :2].flatten(), nodes)
        if not sound or not _indices(1 + rows.flatten(), 1 + nodes):  # what is not there is -1
            raise ValueError(f"questions of {split} are {_shape(rows)}, not nodes below {nodes}")
    for m, x in graph.x.items():
        has = graph.present[m]
        if x.dim() != 2 or len(x) != nodes or x.dtype != torch.float32 or not bool(x.isfinite().all()):
            raise ValueError(f"features of {m} are {_shape(x)}, not finite float32 [{nodes}, F]")
        if has.shape != (nodes,) or has.dtype != torch.bool:
            raise ValueError(f"marks of {m} are {_shape(has)}, not bool [{nodes}]")


def _indices(index: Tensor, nodes: int) -> bool:
    return index.dim() == 1 and index.dtype == torch.int64 and bool(((index >= 0) & (index < nodes)).all())


def _shape(tensor: Tensor) -> str:
    return f"{tensor.dtype} {list(tensor.shape)}".removeprefix("torch.")
