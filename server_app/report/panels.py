"""What the sections of the page show: pure functions from what is known of a run to charts and rows of tables."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from statistics import fmean

from markupsafe import Markup

from concord.functional.grounding import is_worth_it
from concord.kinds import SLICES, alone, of_all_slices, without
from concord.samples import FUSED
from concord.wire.homophily import BINS
from server_app.report.charts import Series, column_chart, line_chart
from server_app.report.formats import axis_percent, millionths, score, size, whole
from server_app.report.palette import ANSWERS, DOWN, UP
from server_app.report.run_view import Line, Run, defined, figure, text
from server_app.results import Ranking, Result, Retrieval

SAME_CLASS = "neighbours of the same class in %"
SPACES = {"anchor-coordinates": "Anchor coordinates", "pooled": "Pooled embeddings"}


@dataclass(frozen=True)
class HeatMap:
    """A square table of figures between modalities: cells[row][column]."""

    caption: str
    labels: Sequence[str]
    cells: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class NodeRow:
    """A node and one of its modalities; accuracy by split."""

    node: str
    modality: str
    examples: float
    labelled: float
    accuracy: Mapping[str, float]


@dataclass(frozen=True)
class SliceTable:
    """Accuracy on one split, of each kind of agent: rows of (from which slices, values), a value None where there is none."""

    split: str
    kinds: Sequence[str]
    rows: Sequence[tuple[str, Sequence[float | None]]]


@dataclass(frozen=True)
class WeightPanel:
    """The shares of a group: rows of (node, palette slot, share), the share that fills a bar, and the equal one."""

    group: str
    rows: Sequence[tuple[str, int | None, float]]
    scale: float
    equal: float


@dataclass(frozen=True)
class RoundRow:
    """What a round took and gave; the last one may be the final evaluation, which trains no model."""

    name: str
    seconds: float
    asked: float
    replies: float
    rejected: float
    up: float
    down: float
    model: str


def accuracy_charts(run: Run) -> list[tuple[str, Markup]]:
    """One chart a split. Round r evaluates the model that came in, which r - 1 rounds have trained."""
    drawn: list[tuple[str, Markup]] = []
    for split in run.splits:
        points: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        for line in run.scope("modality"):
            if text(line, "split") == split:
                points[text(line, "modality")].append((line["round"] - 1, figure(line, "accuracy")))
        if points:
            series = [Series(name, run.slots[name], tuple(points[name])) for name in sorted(points)]
            title = f"Accuracy on the {split} split"
            drawn.append((title, line_chart(series, title, "rounds of training", axis_percent, 1.0, run.rounds_kept)))
    return drawn


def node_rows(run: Run) -> list[NodeRow]:
    rows: list[NodeRow] = []
    for name, held in run.holdings.items():
        node, tables = run.census.get(name), run.node_accuracy.get(name, {})
        for modality in [FUSED] if run.of_graphs else held:
            measured = {split: table[modality] for split, table in tables.items() if modality in table}
            rows.append(
                NodeRow(name, modality, node.examples if node else math.nan, node.labelled if node else math.nan, measured)
            )
    return rows


def absent_rows(run: Run) -> list[tuple[str, Mapping[str, float]]]:
    """On a graph of several modalities, accuracy by split from all of them and without each."""
    names = {"all modalities": FUSED, **{f"without {m}": without(FUSED, m) for m in run.modalities if m != FUSED}}
    rows = [(label, {s: table[name] for s, table in run.accuracy.items() if name in table}) for label, name in names.items()]
    measured: list[tuple[str, Mapping[str, float]]] = [row for row in rows if row[1]]
    return measured if len(measured) > 1 else []


def ranking_charts(run: Run) -> list[tuple[str, Markup]]:
    """One chart a split, of the mean over the kinds of questions."""
    drawn: list[tuple[str, Markup]] = []
    for split in sorted({text(line, "split") for line in run.scope("ranking")}):
        lines = [line for line in run.scope("ranking") if text(line, "split") == split]
        series = []
        for label, slot, key in (("answers", ANSWERS, "mrr"), ("by chance", None, "chance")):
            by_round: defaultdict[int, list[float]] = defaultdict(list)
            for line in lines:
                by_round[line["round"] - 1].append(figure(line, key))
            series.append(Series(label, slot, tuple((round_, fmean(found)) for round_, found in sorted(by_round.items()))))
        title = f"Mean reciprocal rank on the {split} split"
        drawn.append((title, line_chart(series, title, "rounds of training", score, 1.0, run.rounds_kept)))
    return drawn


def ranking_rows(run: Run) -> list[tuple[str, str, Ranking]]:
    """Split, kind of questions, and how high right answers rank."""
    return [(split, kind, one) for split, table in sorted(run.ranking.items()) for kind, one in sorted(table.items())]


def slice_tables(run: Run) -> list[SliceTable]:
    """A table a split, of the kinds of agents whose slices were measured; see `concord.kinds`."""
    tables: list[SliceTable] = []
    for split, table in sorted(run.accuracy.items()):
        kinds = [kind for kind in filter(of_all_slices, sorted(table)) if without(kind, SLICES[0]) in table]
        rows: list[tuple[str, list[float | None]]] = [("all slices", [table[kind] for kind in kinds])]
        for slice_ in SLICES:
            rows.append((f"without {slice_}", [table.get(without(kind, slice_)) for kind in kinds]))
            rows.append((f"{slice_} alone", [table.get(alone(kind, slice_)) for kind in kinds]))
        if kinds:
            tables.append(SliceTable(split, kinds, rows))
    return tables


def grounding(run: Run) -> Line | None:
    """How many labelled nodes were told by class means in the last round, and whether parties learn from those of others."""
    *_, last = (None, *run.scope("grounding"))
    if last is None:
        return None
    return {**last, "worth-it": is_worth_it(last["right"], last["right-alone"], last["right-bare"])}


def homophily_charts(run: Run) -> list[tuple[str, Markup]]:
    """What nodes set by how many of their neighbours have their class, and how many such nodes there are."""
    told = {line["bin"]: line for line in run.scope("homophily")}
    if not told:
        return []
    shown = sorted({0, *told, BINS - 1})  # the whole axis, and no gaps
    temperature, gate, nodes = (
        Series("mean", None, tuple((100 * (b + 0.5) / BINS, figure(told.get(b, {}), key)) for b in shown))
        for key in ("temperature", "gate", "nodes")
    )
    return [
        ("Temperature", line_chart([temperature], "Temperature", SAME_CLASS, score)),
        ("Gate", line_chart([gate], "Gate", SAME_CLASS, score, 1.0)),
        ("Nodes", column_chart([nodes], "Nodes", SAME_CLASS, whole, 100 / BINS)),
    ]


def cka_charts(run: Run) -> list[tuple[str, Markup]]:
    """One chart a modality, its lines the other modalities; a single one where there is a single pair."""
    lines: defaultdict[str, defaultdict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for line in run.scope("cka"):
        if not run.trains(line["round"]):
            continue
        for here, there in permutations(text(line, "pair").split("|"), 2):
            lines[here][there].append((line["round"], figure(line, "cka")))
    shown = sorted(lines) if len(lines) > 2 else sorted(lines)[:1]
    drawn: list[tuple[str, Markup]] = []
    for here in shown:
        title = f"Agreement with {here}"
        series = [Series(there, run.slots[there], tuple(points)) for there, points in sorted(lines[here].items())]
        drawn.append((title, line_chart(series, title, "round", score, 1.0)))
    return drawn


def cka_map(run: Run) -> HeatMap | None:
    cells: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for pair, value in run.cka.items():
        for here, there in permutations(pair.split("|"), 2):
            cells[here][there] = value
    caption = "All pairs at the end" if run.result else "All pairs in the last round"
    return HeatMap(caption, sorted(cells), cells) if cells else None


def retrieval_maps(result: Result | None, score_of: Callable[[Retrieval], float]) -> list[HeatMap]:
    """One map a split and space, the space of the anchor coordinates first."""
    maps: list[HeatMap] = []
    for split, spaces in (result.retrieval if result else {}).items():
        for space in sorted(name for name, table in spaces.items() if table):
            cells: defaultdict[str, dict[str, float]] = defaultdict(dict)
            for pair, scores in spaces[space].items():
                query, _, gallery = pair.partition("->")
                cells[query][gallery] = score_of(scores)
            labels = sorted({*cells, *(gallery for row in cells.values() for gallery in row)})
            maps.append(HeatMap(f"{SPACES.get(space, space)}, {split} split", labels, cells))
    return maps


def weight_panels(run: Run) -> list[WeightPanel]:
    panels: list[WeightPanel] = []
    for group, shares in sorted(run.weights.items()):
        rows = [(node, run.node_slot(node), shares[node]) for node in run.holdings if node in shares]
        equal = 1 / len(rows) if rows else 1.0
        panels.append(WeightPanel(group, rows, max(equal, *defined(shares).values()), equal))
    return sorted(panels, key=lambda panel: (-len(panel.rows), panel.group))


def gap_chart(run: Run) -> Markup | None:
    """The direction gap by round, where it was measured."""
    points = [(line["round"], figure(line, "direction-gap")) for line in run.rounds]
    if not any(math.isfinite(gap) for _, gap in points):
        return None
    return line_chart([Series("gap", None, tuple(points))], "Direction gap", "round", millionths)


def byte_chart(run: Run) -> Markup | None:
    if not run.rounds:
        return None
    series = [
        Series(label, slot, tuple((line["round"], figure(line, key)) for line in run.rounds))
        for label, slot, key in (("up", UP, "bytes-up"), ("down", DOWN, "bytes-down"))
    ]
    return column_chart(series, "Bytes of all nodes", "round", size)


def round_rows(run: Run) -> list[RoundRow]:
    return [
        RoundRow(
            name=str(line["round"]) if run.trains(line["round"]) else "evaluation",
            seconds=figure(line, "seconds"),
            asked=figure(line, "asked"),
            replies=figure(line, "replies"),
            rejected=figure(line, "rejected"),
            up=figure(line, "bytes-up"),
            down=figure(line, "bytes-down"),
            model=_model_after(line) if run.trains(line["round"]) else "",
        )
        for line in run.scope("round")
    ]


def _model_after(line: Line) -> str:
    return "kept the old one" if line.get("kept-old-model") is True else "new"


def precision(scores: Retrieval) -> float:
    return scores.precision_at_10


def ranking(scores: Retrieval) -> float:
    return scores.map
