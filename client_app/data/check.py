"""What `concord data list` and `concord data check` tell: the suites, and what is wrong with the files at hand."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from client_app.data.packs import PackFile, how_to_mend
from client_app.data.registry import SUITES, find_suite
from concord.graphs import OWN_GRAPH
from concord.own import OWN


@dataclass(frozen=True)
class SuiteRow:
    """A suite in a table: all columns are text to show as it is."""

    name: str
    modalities: str
    what: str
    data: str
    licence: str
    origin: str


@dataclass(frozen=True)
class Finding:
    """One thing to know about a file: with an error the suite cannot be used, a note only explains other figures."""

    path: Path
    severity: Literal["error", "note"]
    message: str
    hint: str


OWN_ROW = SuiteRow(
    name=OWN,
    modalities="image, audio, text, series, table",
    what="your own folders of files, a node each",
    data="a folder a node",
    licence="yours to say",
    origin="your own: see docs/own-data.md",
)


OWN_GRAPH_ROW = SuiteRow(
    name=OWN_GRAPH,
    modalities="numbers of nodes, yours to name",
    what="your own graph, a party each folder",
    data="a folder a party",
    licence=OWN_ROW.licence,
    origin=OWN_ROW.origin,
)


def list_suites() -> list[SuiteRow]:
    """One row a suite, data of one's own last."""
    suites = [
        SuiteRow(
            name=suite.name,
            modalities=", ".join(suite.modality_names),
            what=suite.what,
            data=", ".join(file.path for file in suite.files) or "none",
            licence=suite.licence,
            origin=suite.origin or "comes with the dependencies",
        )
        for suite in SUITES.values()
    ]
    return [*suites, OWN_ROW, OWN_GRAPH_ROW]


def check_suite(name: str, data: Path) -> list[Finding]:
    """What there is to say about each file of a suite below the folder `data`; nothing when all is as published.

    Files that only some runs need are looked at where they are there.

    Raises:
        ConcordError: C204, if there is no such suite.
    """
    suite = find_suite(name)
    further = [file for file in suite.further_files if (data / file.path).is_file()]
    return [finding for file in (*suite.files, *further) for finding in check_file(file, data)]


def check_file(file: PackFile, data: Path) -> list[Finding]:
    """The errors of one file; or a note, if it can be used but is not the one that published figures come from."""
    path = data / file.path
    if not path.is_file():
        return [Finding(path, "error", "there is no such file", f"get it from {file.origin}; it must hold {file.layout}")]
    size = path.stat().st_size
    sizes = "" if size == file.size else f" ({size:,} bytes; the published file has {file.size:,})"
    errors = [Finding(path, "error", problem + sizes, how_to_mend(file)) for problem in file.problems(path)]
    if errors or hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256:
        return errors
    message = f"can be used, but is not the file that the published figures come from{sizes}"
    return [Finding(path, "note", message, f"to compare with published figures, make it again from {file.origin}")]
