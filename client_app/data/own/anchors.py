"""Building a public anchor set from folders of files, or from a table with a row a sample and a column a modality."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from client_app.data.own.entry import Entry
from client_app.data.own.index import content_of, entries_of, read_entries
from client_app.data.own.layout import DATASET, ENCODERS, Source, read_dataset
from client_app.data.own.rows_of_table import columns_in
from client_app.data.own.tables import column_names, rows
from client_app.data.preparation.registry import preparation_of
from client_app.data.split import draw_evenly
from client_app.encoders.series import SERIES
from client_app.encoders.table import TABLE, written
from client_app.files import kind_of
from concord.anchors import AnchorSet
from concord.errors import ConcordError
from concord.samples import Samples

CONCEPT = "concept"  # the column of a table of concepts that names them


@dataclass(frozen=True)
class Public:
    """Public samples of one modality: a folder, and where they are in it."""

    folder: Path
    source: Source


def public_folder(folder: Path, modality: str) -> Public:
    """The samples of a modality in a folder: of that name in ``dataset.toml``, or the only ones; ConcordError C205."""
    sources = read_dataset(folder).sources
    source = sources.get(modality) or (next(iter(sources.values())) if len(sources) == 1 else None)
    if source is None:
        what = f"{folder} holds {', '.join(sources)}, and none is called {modality}"
        raise ConcordError("C205", what, f"name them in {DATASET}, or put them into folders of their own")
    return Public(folder, source)


def concept_table(table: Path) -> dict[str, Public]:
    """Per column but ``concept`` the samples of a modality: files that the cells name, or texts; ConcordError C205."""
    if not table.is_file():
        raise ConcordError("C205", f"{table}: there is no such file", "name a table with a column `concept` and one a modality")
    modalities = [name for name in column_names(table) if name != CONCEPT]
    public = {}
    for modality in modalities:
        cells = (cell for (cell,) in rows(table, (modality,)) if cell)
        kind = kind_of(next(cells, ""))
        where = {"path": modality} if kind else {"text": modality}
        source = Source.model_validate({"kind": kind or "text", "table": table.name, "label": CONCEPT, **where})
        public[modality] = Public(table.parent, source)
    return public


def table_concepts(table: Path) -> tuple[str, ...]:
    """The concepts of a table, in the order in which they come; ConcordError C205 without such a column."""
    return tuple(dict.fromkeys(cell for (cell,) in rows(table, (CONCEPT,)) if cell))


def build_anchors(
    public: Mapping[str, Public], encoders: Mapping[str, str], concepts: Sequence[str], per_concept: int, seed: int
) -> AnchorSet:
    """An anchor set of up to `per_concept` samples of each concept and modality, spread over their owners.

    Args:
        public: per modality where its samples are.
        encoders: per modality the encoder that it is prepared for, where that is not the usual one of its kind.
        concepts: in their order; empty: the labels that there are, numbers by size.
        seed: draws the samples.

    Raises:
        ConcordError: C102 a name that no modality can have, C204 an encoder of another kind, C205 and C206 files that cannot
            be used, C207 a label that is no concept, C302 a modality without labelled samples.
    """
    for modality in public:
        check_name(modality)
    labelled = {m: [e for e in entries_of(p.folder, p.source) if e.label is not None] for m, p in public.items()}
    names = tuple(concepts) or tuple(sorted({str(e.label) for found in labelled.values() for e in found}, key=by_number))
    modalities, read_by, contents = {}, {}, {}
    for modality, place in public.items():
        drawn = _draw(modality, labelled[modality], names, per_concept, seed)
        read_by[modality] = _encoder(modality, place, encoders, drawn)
        modalities[modality] = _prepared(place, drawn, names, read_by[modality])
        contents[modality] = tuple(content_of(place.folder, entry) for entry in drawn)
    return AnchorSet(names, modalities, read_by, contents)


def check_name(modality: str) -> None:
    """Names of modalities are parts of names of files, of groups on the wire and of modules."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", modality) or hasattr(nn.ModuleDict, modality):
        hint = "choose a name of letters, digits, - and _ that begins with a letter"
        raise ConcordError("C102", f"no modality can be called {modality!r}", hint)


def _encoder(modality: str, place: Public, encoders: Mapping[str, str], drawn: Sequence[Entry]) -> str:
    source = place.source
    name = encoders.get(modality) or source.encoder or ENCODERS.get(source.kind, "")
    if source.kind == "series" and name == SERIES.rstrip(":"):
        ((_, series_TK),) = read_entries(place.folder, source, drawn[:1])
        name = f"{SERIES}{series_TK.shape[1]}"
    if source.kind == "table" and name == TABLE.rstrip(":"):
        name = f"{TABLE}{written(columns_in([row for _, row in read_entries(place.folder, source, drawn)]))}"
    if not name or preparation_of(name).kind != source.kind:
        what = f"{modality} is {source.kind}, and its encoder {name or 'is not named'}"
        raise ConcordError("C204", what, f"name one for {source.kind} with --encoder {modality}=NAME")
    return name


def _draw(modality: str, entries: Sequence[Entry], concepts: Sequence[str], count: int, seed: int) -> list[Entry]:
    """Up to `count` of each concept, by turns from each owner, in the order of the concepts."""
    if not entries:
        hint = f"put files into a folder a concept, or say in {DATASET} where the label is"
        raise ConcordError("C302", f"no sample of {modality} has a label", hint)
    if unknown := next((entry for entry in entries if entry.label not in concepts), None):
        raise ConcordError("C207", f"{unknown.place}: label {unknown.label!r}", f"the concepts are {', '.join(concepts[:20])}")
    rng = np.random.default_rng([seed, zlib.crc32(modality.encode())])
    drawn = []
    for concept in concepts:
        of_concept = [entry for entry in entries if entry.label == concept]
        chosen = draw_evenly(np.arange(len(of_concept)), [entry.owner for entry in of_concept], count, rng)
        drawn += [of_concept[i] for i in sorted(chosen)]
    return drawn


def _prepared(place: Public, entries: Sequence[Entry], concepts: Sequence[str], encoder: str) -> Samples:
    preparation = preparation_of(encoder)
    x_of = {entry.id: preparation.prepare(raw) for entry, raw in read_entries(place.folder, place.source, entries)}
    y_N = torch.tensor([concepts.index(str(entry.label)) for entry in entries])
    return Samples(torch.stack([x_of[entry.id] for entry in entries]), y_N, tuple(entry.id for entry in entries))


def by_number(label: str) -> tuple[list[int | str], str]:
    """Numbers within labels by their size: 2 before 10. Every other part is a number, so that parts compare."""
    return [int(part) if i % 2 else part for i, part in enumerate(re.split(r"([0-9]+)", label))], label
