"""All nodes of a run on own data that are on this machine: each folder in the data folder is one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from client_app.data.federation import Federation, pool
from client_app.data.own.advance import Advance, silent
from client_app.data.own.layout import DATASET, read_dataset
from client_app.data.own.node import load_own
from concord.anchors import AnchorSet
from concord.config import RunConfig
from concord.errors import ConcordError
from concord.own import OWN


def own_folders(config: RunConfig, name_of: Callable[[Path], str]) -> dict[str, Path]:
    """By node, as `name_of` reads its name, the folders in the run's data folder; or that folder itself, where it says that
    it is one.

    Raises:
        ConcordError: C201 when there is none, C205 when one cannot be understood or two have one name.
    """
    data = config.data
    if not data or not Path(data).is_dir():
        what = f"{data}: there is no such folder" if data else f"suite {config.suite} needs a data folder, and none is named"
        raise ConcordError("C201", what, "name with --data the folder that holds a folder a node")
    above = Path(data)
    found = [above] if (above / DATASET).is_file() else sorted(path for path in above.iterdir() if _is_shown_folder(path))
    if not found:
        raise ConcordError("C201", f"{above} holds no folder", "name with --data the folder that holds a folder a node")
    by_name: dict[str, Path] = {}
    for folder in found:
        name = name_of(folder)
        if name in by_name:
            raise ConcordError("C205", f"{by_name[name]} and {folder} are both node {name!r}", f"change `node` in one {DATASET}")
        by_name[name] = folder
    return by_name


def own_federation(config: RunConfig, anchors: AnchorSet, *, pooled: bool = False, advance: Advance = silent) -> Federation:
    """All nodes below the run's data folder; `pooled`: one that holds what all hold. Raises as `load_own`."""
    folders = own_folders(config, lambda folder: read_dataset(folder).name)
    nodes = tuple(load_own(folder, config, anchors, advance=advance) for folder in folders.values())
    if pooled:
        nodes = (pool(tuple(replace(node, joint={}) for node in nodes)),)
    return Federation(OWN, anchors.concepts, tuple(sorted(anchors.modalities)), nodes, anchors)


def _is_shown_folder(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".")
