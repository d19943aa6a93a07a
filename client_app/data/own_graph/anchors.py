"""What parties to an own graph must agree on, from folders of theirs or of anybody: classes, and features of each modality."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from client_app.data.own.anchors import by_number, check_name
from client_app.data.own.check import folders_to_check
from client_app.data.own_graph.check import read_sound
from client_app.data.own_graph.layout import read_graph_folder
from concord.anchors import AnchorSet, anchors_of_graph
from concord.errors import ConcordError


def graph_anchors(folders: Sequence[Path]) -> AnchorSet:
    """The labels and modalities of all folders, and of those below them; nothing of a node is in it.

    Raises:
        ConcordError: C102 a name that no modality can have, C203 to C206 a folder that cannot be used, C205 folders that have
            different features.
    """
    labels: set[str] = set()
    width_of: dict[str, tuple[int, Path]] = {}
    for folder in [below for named in folders for below in folders_to_check(named)]:
        tables = read_sound(read_graph_folder(folder))
        labels |= {*tables.labels} - {""}
        for modality, x_NF in tables.x.items():
            check_name(modality)
            width, first = width_of.setdefault(modality, (x_NF.shape[1], folder))
            if width != x_NF.shape[1]:
                what = f"{modality} has {width} features in {first}, {x_NF.shape[1]} in {folder}"
                raise ConcordError("C205", what, "give all parties the same features, in the same order")
    return anchors_of_graph(sorted(labels, key=by_number), {m: width for m, (width, _) in width_of.items()})
