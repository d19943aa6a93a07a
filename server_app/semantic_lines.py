"""The lines of ``metrics.jsonl`` of STAGE: where parties stand in the space that they share, and how their nodes listen.

Legend: P parties, K anchors, D width, B bins; the 2 means of a bin are of temperature and gate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from concord.config import RunConfig
from concord.functional.rows import unit_rows
from concord.functional.semantics import distance_to_table
from concord.wire.homophily import homophily_from_wire
from concord.wire.moments import moments_from_wire
from concord.wire.v1 import federation_pb2 as pb
from strategies.class_means import answers_in
from strategies.state import Outcome

Line = dict[str, Any]

MOST_VALUES = 100_000  # of a round; where there are more, the heaviest anchors alone are written down
DIGITS = 3  # of a coordinate of a direction


def semantic_lines(outcome: Outcome, config: RunConfig, agreed: Mapping[str, Tensor], round_: int) -> list[Line]:
    """How far parties are from the table that came of a round, and in the first and the last round where all of them are.

    Args:
        outcome: of the round; there are no lines where it kept the old table, and none of a table where parties tell no moments.
        agreed: the table, as its consensus gives it to a checkpoint.
    """
    told = {a.report.node: a.report.moments for a in outcome.accepted if a.report.HasField("moments")}
    if outcome.kept_old_model:
        return []
    grounding = grounding_lines(agreed, config.aggregation.max_share, round_)
    if not told:
        return grounding
    table_KD, mass_K = agreed["prototypes"], agreed["masses"]
    moments = {node: moments_from_wire(message, *table_KD.shape) for node, message in told.items()}
    mean_PKD, mass_PK = (torch.stack(parts) for parts in zip(*moments.values(), strict=True))
    table: Line = {"scope": "table", "round": round_, "distance": distance_to_table(mean_PKD, mass_PK, table_KD)}
    if round_ not in (1, config.rounds):
        return [table, *grounding]
    room = max(1, MOST_VALUES // ((len(told) + 1) * table_KD.shape[1]))
    heaviest = mass_K.argsort(descending=True, stable=True)[:room].sort().values
    heaviest = heaviest[mass_K[heaviest] > 0]
    places = [
        {"scope": "moments", "round": round_, "node": node, **_places(mean_KD, own_K, heaviest)}
        for node, (mean_KD, own_K) in moments.items()
    ]
    return [*places, table | _places(table_KD, mass_K, heaviest), *grounding]


def grounding_lines(agreed: Mapping[str, Tensor], cap: float, round_: int) -> list[Line]:
    """How many labelled nodes of all parties are told by class means, those of all and own ones; no line before that is known."""
    answers = answers_in(agreed, cap)
    if answers is None:
        return []
    counts = {field.name.replace("_", "-"): getattr(answers, field.name) for field in answers.DESCRIPTOR.fields}
    return [{"scope": "grounding", "round": round_, **counts}]


def homophily_lines(reports: Sequence[pb.Report], round_: int) -> list[Line]:
    """Mean temperature and gate over the nodes of all parties, by local homophily; no line for a bin that nobody tells of."""
    told = [homophily_from_wire(report.homophily) for report in reports if report.homophily]
    if not told:
        return []
    mean_PB2, count_PB = (torch.stack(parts) for parts in zip(*told, strict=True))
    count_B = count_PB.sum(0)
    mean_B2 = (mean_PB2 * count_PB[..., None]).sum(0) / count_B[:, None]
    return [
        {"scope": "homophily", "round": round_, "bin": b, "nodes": nodes, "temperature": temperature, "gate": gate}
        for b, (nodes, (temperature, gate)) in enumerate(zip(count_B.tolist(), mean_B2.tolist(), strict=True))
        if nodes
    ]


def _places(mean_KD: Tensor, mass_K: Tensor, among: Tensor) -> Line:
    """Directions and masses at those of the anchors `among` that have a mass."""
    anchors = among[mass_K[among] > 0]
    directions = [[round(x, DIGITS) for x in row] for row in unit_rows(mean_KD[anchors].double()).tolist()]
    return {"anchors": anchors.tolist(), "masses": mass_K[anchors].tolist(), "directions": directions}
