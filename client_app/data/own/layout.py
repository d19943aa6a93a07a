"""What is where in a folder of own data: ``dataset.toml``, or what can be told without it.

::

    node = "ward-3"                                    # default: the name of the folder

    [modality.speech]                                  # files, of which the pattern tells label, owner, id or split
    kind = "audio"
    files = "recordings/{label}_{owner}_{take}.wav"

    [modality.notes]                                   # a table: CSV, TSV, JSON lines or Parquet, a row a sample
    kind = "text"
    table = "notes.csv"
    text = "body"                                      # a column; of files it is `path`
    label = "diagnosis"

Without ``dataset.toml``: ``manifest.csv`` (or tsv, jsonl, parquet) with a column ``path`` or ``text``; else files in a folder
a class. What is found so has no name of its own: a modality is called after its kind.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from client_app.data.own.pattern import compiled, walk
from client_app.data.own.tables import TABLE_SUFFIXES, column_names, rows
from client_app.data.preparation.raw import Kind
from client_app.files import kind_of
from concord.errors import ConcordError

DATASET = "dataset.toml"
MANIFESTS = tuple(f"manifest{suffix}" for suffix in TABLE_SUFFIXES)
BY_CLASS, FLAT = "**/{label}/*", "*"
# who reads a kind, where nobody says
ENCODERS = MappingProxyType({"image": "image", "audio": "sound", "text": "word", "series": "series", "table": "table"})

Form = TypeVar("Form", bound=BaseModel)
NodeName = Annotated[str, Field(pattern=r"^([\w-][\w.-]*)?$")]


class Source(BaseModel):
    """Where the samples of one modality are. `path` to `split` name columns of the table."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    kind: Kind
    encoder: str = ""
    files: str = ""
    table: str = ""
    path: str = "path"
    text: str = "text"
    time: str = "time"
    channels: list[str] = Field(default_factory=list, description="columns of a table of series, a row a time")
    columns: dict[str, str] = Field(default_factory=dict, description="the name of a column in the anchors, where they differ")
    label: str = "label"
    id: str = "id"
    owner: str = "owner"
    split: str = "split"
    labels: dict[str, str] = Field(default_factory=dict, description="the concept that a label stands for, where they differ")
    rate: int | None = Field(None, description="samples a second that a recording must have")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if bool(self.files) == bool(self.table):
            raise ValueError("name either files, a pattern, or table")
        if self.files:
            compiled(self.files)
        if self.channels and (self.kind != "series" or self.files):
            raise ValueError("channels are for series in a table")
        if len(set(self.channels)) < len(self.channels):
            raise ValueError("two channels have one name")
        if self.kind == "table" and not self.table:
            raise ValueError("rows are in a table: name it with table")
        if self.columns and self.kind != "table":
            raise ValueError("columns are for samples of kind table")
        if self.rate is not None and self.kind != "audio":
            raise ValueError("rate is for audio")
        return self

    @property
    def content(self) -> str:
        """The column that holds the samples, or says in which files they are."""
        return self.text if self.kind == "text" and "path" not in self.model_fields_set else self.path

    @property
    def in_table(self) -> bool:
        """Whether samples are cells of a table, and not files."""
        return bool(self.table) and self.content == self.text


class _File(BaseModel):
    """``dataset.toml``."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    node: NodeName = ""
    modality: dict[str, Source] = Field(min_length=1)


@dataclass(frozen=True)
class Dataset:
    """A folder of own data.

    Attributes:
        name: of the node.
        sources: by modality.
        named: whether the modalities have names that somebody chose; otherwise they are kinds.
    """

    folder: Path
    name: str
    sources: Mapping[str, Source]
    named: bool


def is_described(folder: Path) -> bool:
    """Whether a file in the folder says what is in it."""
    return any((folder / name).is_file() for name in (DATASET, *MANIFESTS))


def read_dataset(folder: Path) -> Dataset:
    """What is where in a folder; ConcordError C205 where that cannot be told."""
    if not folder.is_dir():
        raise ConcordError("C205", f"{folder}: there is no such folder", "name the folder that holds the node's own files")
    if (folder / DATASET).is_file():
        file = read_description(folder / DATASET, _File)
        return Dataset(folder, file.node or folder.resolve().name, file.modality, named=True)
    manifest = next((folder / name for name in MANIFESTS if (folder / name).is_file()), None)
    sources = _of_manifest(folder, manifest) if manifest else _of_classes(folder)
    if not sources:
        hint = f"put files there, in a folder a class, or say in {DATASET} where they are (docs/own-data.md)"
        raise ConcordError("C205", f"{folder}: no pictures, recordings or texts are in it", hint)
    return Dataset(folder, folder.resolve().name, sources, named=False)


def read_description(path: Path, form: type[Form]) -> Form:
    """``dataset.toml`` at `path`, of that form; ConcordError C205 where it is not."""
    hint = "docs/own-data.md tells what may stand there"
    try:
        return form.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConcordError("C205", f"{path}: {where}: {first['msg']}", hint) from error
    except (OSError, ValueError) as error:  # of TOML and of UTF-8 too
        raise ConcordError("C205", f"{path}: {error}", hint) from error


def _of_manifest(folder: Path, manifest: Path) -> dict[str, Source]:
    """By kind the samples of a table of paths or texts."""
    columns = column_names(manifest)
    if "path" in columns:
        kinds = {kind for (path,) in rows(manifest, ("path",)) if (kind := kind_of(path or ""))}
        return {kind: Source(kind=kind, table=manifest.name, path="path") for kind in sorted(kinds)}
    if "text" in columns:
        return {"text": Source(kind="text", table=manifest.name)}
    raise ConcordError("C205", f"{manifest}: no column is called path or text", f"name the columns in {DATASET}")


def _of_classes(folder: Path) -> dict[str, Source]:
    """By kind the files in a folder a class; all in one folder, they have no labels."""
    pattern_of: dict[Kind, str] = {}
    for path, _ in walk(folder):
        kind = kind_of(path)
        if kind and ("/" in path or kind not in pattern_of):
            pattern_of[kind] = BY_CLASS if "/" in path else FLAT
    return {kind: Source(kind=kind, files=pattern_of[kind]) for kind in sorted(pattern_of)}
