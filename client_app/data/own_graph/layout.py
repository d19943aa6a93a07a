"""What is where in a folder that holds a party's part of a graph: ``dataset.toml`` with a table ``graph``.

::

    node = "north"                             # name of the party; default: the name of the folder

    [graph]
    nodes = "papers.csv"                       # CSV, TSV, JSON lines or Parquet, a row a node: id, label, split, numbers
    edges = "citations.csv"                    # a row an edge without a direction: source, target

    [graph.features]                           # by modality
    numbers = ["year", "pages"]                # columns of the table of nodes; all empty: the node lacks the modality
    text = "abstracts.npy"                     # or a NumPy file [N, F] in the order of its rows; a row of NaN: lacks it
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from client_app.data.own.layout import DATASET, NodeName, read_description

Name = Annotated[str, Field(min_length=1)]


class Graph(BaseModel):
    """Where nodes, edges and features are. `id` to `target` name columns of the tables."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    nodes: Name
    edges: Name
    features: Annotated[dict[str, Annotated[list[Name], Field(min_length=1)] | Name], Field(min_length=1)]
    id: Name = "id"
    label: Name = "label"
    split: Name = "split"
    source: Name = "source"
    target: Name = "target"
    labels: dict[str, str] = Field(default_factory=dict, description="the class that a label stands for, where they differ")

    @model_validator(mode="after")
    def _each_column_once(self) -> Self:
        for modality, columns in self.columns.items():
            if len(set(columns)) < len(columns):
                raise ValueError(f"a column is twice in features.{modality}")
        return self

    @property
    def columns(self) -> dict[str, list[str]]:
        """By modality its columns in the table of nodes."""
        return {modality: place for modality, place in self.features.items() if isinstance(place, list)}

    @property
    def files(self) -> dict[str, str]:
        """By modality its NumPy file."""
        return {modality: place for modality, place in self.features.items() if isinstance(place, str)}


class _File(BaseModel):
    """``dataset.toml``."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    node: NodeName = ""
    graph: Graph


@dataclass(frozen=True)
class GraphFolder:
    """A folder of a party's part of a graph, and the name of the party."""

    folder: Path
    name: str
    graph: Graph

    @property
    def nodes(self) -> Path:
        """The table of nodes."""
        return self.folder / self.graph.nodes

    @property
    def edges(self) -> Path:
        """The table of edges."""
        return self.folder / self.graph.edges


def is_graph(folder: Path) -> bool:
    """Whether a folder says that it holds a graph."""
    try:
        return "graph" in tomllib.loads((folder / DATASET).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # told by those who need it
        return False


def read_graph_folder(folder: Path) -> GraphFolder:
    """What is where in a folder; ConcordError C205 where that cannot be told."""
    file = read_description(folder / DATASET, _File)
    return GraphFolder(folder, file.node or folder.resolve().name, file.graph)
