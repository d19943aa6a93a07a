"""The prototypes of the parties to a graph in the space that they share, before and after learning from each other.

What is drawn are directions, as nothing else of a prototype is used. Both pictures have the same axes: the two directions in
which the parties' prototypes of both differ most.

Legend: N prototypes, D width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from markupsafe import Markup
from torch import Tensor

from concord.functional.principal import principal_plane
from server_app.report.charts import Series, line_chart
from server_app.report.formats import percent, score
from server_app.report.run_view import Line, Run, figure, natural, text
from server_app.report.scatter import Point, key, scatter_chart

ROOM = 1.06  # between the outermost point and the edge


@dataclass(frozen=True)
class PrototypePictures:
    """Pictures by caption, the marks of their legend, the distance after each of their rounds, and its course."""

    pictures: Sequence[tuple[str, Markup]]
    legend: Sequence[tuple[str, Markup]]
    distances: Sequence[tuple[int, float]]
    course: Markup


def prototype_pictures(run: Run) -> PrototypePictures | None:
    """The first and the last round that told where the prototypes are; None before there is one."""
    tables = {line["round"]: line for line in run.scope("table") if line.get("directions")}
    told = [line for line in run.scope("moments") if line["directions"] and line["round"] in tables]
    if not told:
        return None
    rounds = sorted({told[0]["round"], told[-1]["round"]})
    told = [line for line in told if line["round"] in rounds]
    owners = {node: i for i, node in enumerate(sorted({text(line, "node") for line in told}, key=natural))}
    mean_D, axis_2D, shares = principal_plane(_directions(told), torch.tensor([m for line in told for m in line["masses"]]))
    clouds = {r: _cloud([line for line in told if line["round"] == r], tables[r], owners, mean_D, axis_2D) for r in rounds}
    reach = max(max(abs(p.x), abs(p.y)) for cloud in clouds.values() for p in cloud) or 1.0  # all in one place
    along, across = (percent(share) for share in shares.tolist())
    axes = f"first axis: {along} of the variance", f"second axis: {across} of the variance"
    captions = {r: f"{'Before' if r == 1 else 'After'}: round {r}" for r in rounds}
    distance = [(line["round"], figure(line, "distance")) for line in run.scope("table")]
    return PrototypePictures(
        [(captions[r], scatter_chart(clouds[r], captions[r], axes, ROOM * reach)) for r in rounds],
        [*((node, key(owner)) for node, owner in owners.items()), ("merged", key(None))],
        [(r, y) for r, y in distance if r in rounds],
        line_chart([Series("distance", None, tuple(distance))], "Distance to the merged prototypes", "round", score),
    )


def _cloud(told: Sequence[Line], table: Line, owners: Mapping[str, int], mean_D: Tensor, axis_2D: Tensor) -> list[Point]:
    """The prototypes of a round in the plane, each party's tied to the merged one of its anchor."""
    heaviest = max(mass for line in told for mass in line["masses"])
    merged = dict(zip(table["anchors"], _plane([table], mean_D, axis_2D), strict=True))
    points = [
        Point(x, y, owners[text(line, "node")], mass / heaviest, _tip(text(line, "node"), anchor, mass), merged[anchor])
        for line in told
        for anchor, mass, (x, y) in zip(line["anchors"], line["masses"], _plane([line], mean_D, axis_2D), strict=True)
    ]
    return points + [
        Point(x, y, None, 1.0, _tip("merged", anchor, mass))
        for (anchor, (x, y)), mass in zip(merged.items(), table["masses"], strict=True)
    ]


def _tip(whose: str, anchor: int, mass: float) -> str:
    return f"{whose}, anchor {anchor}: {mass:.3g} nodes"


def _directions(lines: Sequence[Line]) -> Tensor:
    return torch.tensor([row for line in lines for row in line["directions"]], dtype=torch.float64)


def _plane(lines: Sequence[Line], mean_D: Tensor, axis_2D: Tensor) -> list[tuple[float, float]]:
    return [(x, y) for x, y in ((_directions(lines) - mean_D) @ axis_2D.T).tolist()]
