"""``report.html``: one self-contained page about a run, made from what its folder holds.

The page loads nothing, runs no script, and is complete for a run that failed, goes on, or measured little. All
names and texts in a run folder may come from other parties: they reach the page only through escaping.
"""

from __future__ import annotations

import math
import re
import shlex
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from pathlib import Path
from statistics import fmean, median
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from concord.config import parse_config
from concord.run_folder import RunFolder, atomic_write
from server_app import charts
from server_app.charts import Series
from server_app.report_template import TEMPLATE
from server_app.results import Node, Rejection, Result, Retrieval, load_result

METHODS = {
    "geolora": "GeoLoRA",
    "fedmchain": "FedMChain",
    "parse": "PARSE",
    "stage": "STAGE",
    "fedavg": "FedAvg",
    "fedproto": "FedProto",
}
SPACES = {"anchor-coordinates": "Anchor coordinates", "pooled": "Pooled embeddings"}
COMMAND_DEFAULTS = {"share-test-embeddings": True}

Line = Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """What is known of a run: the final figures where there are any, else the latest ones in the metrics."""

    config: Mapping[str, Any]
    lines: Sequence[Line]
    result: Result | None

    def scope(self, scope: str) -> list[Line]:
        """The lines of one scope that name a round, in the order of rounds."""
        lines = [line for line in self.lines if line.get("scope") == scope and isinstance(line.get("round"), int)]
        return sorted(lines, key=lambda line: line["round"])

    def setting(self, key: str) -> str:
        return str(self.config.get(key, ""))

    @cached_property
    def state(self) -> tuple[str, str]:
        """``finished``, ``failed`` or ``unfinished``, and what the run said about it."""
        if self.result:
            return "finished", ""
        event = _last_event(self.lines)
        if event.get("event") == "failed":
            return "failed", _text(event, "message")
        return "unfinished", "The run goes on, or was interrupted. The figures are those of its latest round."

    @cached_property
    def rounds_done(self) -> int:
        return max((line["round"] for line in self.scope("round")), default=0)

    @cached_property
    def accuracy(self) -> dict[str, dict[str, float]]:
        """Split -> modality -> accuracy."""
        if self.result:
            return {split: {m: one.accuracy for m, one in table.items()} for split, table in self.result.accuracy.items()}
        latest: defaultdict[str, dict[str, float]] = defaultdict(dict)
        for line in self.scope("modality"):
            latest[_text(line, "split")][_text(line, "modality")] = _figure(line, "accuracy")
        return dict(latest)

    @cached_property
    def node_accuracy(self) -> dict[str, dict[str, dict[str, float]]]:
        """Node -> split -> modality -> accuracy."""
        if self.result:
            return self.result.node_accuracy
        latest: defaultdict[str, defaultdict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
        for line in self.scope("node"):
            latest[_text(line, "node")][_text(line, "split")][_text(line, "modality")] = _figure(line, "accuracy")
        return {node: dict(splits) for node, splits in latest.items()}

    @cached_property
    def cka(self) -> dict[str, float]:
        """``a|b`` -> CKA."""
        if self.result:
            return self.result.cka
        return {_text(line, "pair"): _figure(line, "cka") for line in self.scope("cka")}

    @cached_property
    def weights(self) -> dict[str, dict[str, float]]:
        """Group -> node -> share in the last round in which the group was averaged."""
        if self.result:
            return self.result.weights
        last = {_text(line, "group"): line["round"] for line in self.scope("weight")}
        shares: defaultdict[str, dict[str, float]] = defaultdict(dict)
        for line in self.scope("weight"):
            if line["round"] == last[_text(line, "group")]:
                shares[_text(line, "group")][_text(line, "node")] = _figure(line, "share")
        return dict(shares)

    @cached_property
    def rejections(self) -> list[Rejection]:
        if self.result:
            return self.result.rejections
        return [
            Rejection(round=line["round"], node=_text(line, "node"), reason=_text(line, "reason"), detail=_text(line, "detail"))
            for line in self.scope("rejection")
        ]

    @cached_property
    def rounds_kept(self) -> list[int]:
        """Rounds after which the old model was kept."""
        return sorted({line["round"] for line in self.scope("round") if line.get("kept-old-model") is True})

    @cached_property
    def census(self) -> dict[str, Node]:
        """What the nodes said of themselves, by name."""
        return {node.name: node for node in self.result.nodes} if self.result else {}

    @cached_property
    def holdings(self) -> dict[str, list[str]]:
        """Node -> its modalities as far as they are known; nodes of a modality together, then by number."""
        seen = {name: sorted({m for table in splits.values() for m in table}) for name, splits in self.node_accuracy.items()}
        known: dict[str, list[str]] = {node: [] for shares in self.weights.values() for node in shares}
        known |= seen | {name: node.modalities for name, node in self.census.items()}
        return dict(sorted(known.items(), key=lambda item: (item[1], _natural(item[0]))))

    @cached_property
    def splits(self) -> list[str]:
        return sorted({*self.accuracy, *(_text(line, "split") for line in self.scope("modality"))})

    @cached_property
    def modalities(self) -> list[str]:
        final = {m for table in self.accuracy.values() for m in table}
        measured = {_text(line, "modality") for line in self.scope("modality")}
        pairs = {*self.cka, *(_text(line, "pair") for line in self.scope("cka"))}
        held = {m for modalities in self.holdings.values() for m in modalities}
        return sorted(final | measured | held | {m for pair in pairs for m in pair.split("|")})

    @cached_property
    def slots(self) -> dict[str, int]:
        """The palette slot of each modality."""
        return charts.palette_slots(self.modalities)

    def node_slot(self, node: str) -> int | None:
        """The palette slot of a node: its modality's, or None if it has several or they are not known."""
        held = self.holdings.get(node, [])
        return self.slots[held[0]] if len(held) == 1 else None


def write_report(run_folder: Path) -> Path:
    """Writes ``report.html`` in a run folder and returns its path."""
    folder = RunFolder(run_folder)
    result = load_result(run_folder) if folder.result.exists() else None
    page = render_report(folder.read_config(), folder.read_metrics(), result)
    atomic_write(folder.report, page.encode(errors="replace"))
    return folder.report


def render_report(config: Mapping[str, Any], metrics: Iterable[Line], result: Result | None) -> str:
    """The page, from the flat configuration, the lines of ``metrics.jsonl``, and the final figures if there are any.

    Where a finished run was resumed and has not finished again, the old final figures do not count.
    """
    lines = tuple(metrics)
    over = _last_event(lines).get("event", "finished") == "finished"
    run = Run(config, lines, result if over else None)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(percent=percent, score=score, size=size, duration=duration, whole=whole)
    environment.globals.update(charts=charts)
    return environment.from_string(TEMPLATE).render(
        run=run,
        title=f"{METHODS.get(run.setting('method'), run.setting('method'))} on {run.setting('suite')}",
        cards=_cards(run),
        accuracy_charts=_accuracy_charts(run),
        node_rows=_node_rows(run),
        cka_charts=_cka_charts(run),
        cka_map=_cka_map(run.cka),
        precision_maps=_retrieval_maps(run.result, _precision),
        ranking_maps=_retrieval_maps(run.result, _ranking),
        weight_panels=_weight_panels(run),
        byte_chart=_byte_chart(run),
        round_rows=_round_rows(run),
        command=_command(run.config),
    )


@dataclass(frozen=True)
class Card:
    """A headline figure and one line about it."""

    label: str
    value: str
    note: str


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
class WeightPanel:
    """The shares of a group: rows of (node, palette slot, share), the share that fills a bar, and the equal one."""

    group: str
    rows: Sequence[tuple[str, int | None, float]]
    scale: float
    equal: float


@dataclass(frozen=True)
class RoundRow:
    round: int
    seconds: float
    asked: float
    replies: float
    rejected: float
    up: float
    down: float
    kept: bool


def _cards(run: Run) -> list[Card]:
    cards = [_accuracy_card(split, run.accuracy[split]) for split in run.splits if run.accuracy.get(split)]
    if cka := _defined(run.cka):
        least = min(cka, key=cka.__getitem__)
        note = f"least: {least.replace('|', ' – ')}, {score(cka[least])}"
        cards.append(Card("Agreement (CKA)", score(fmean(cka.values())), note))
    for heat in _retrieval_maps(run.result, _precision)[:1]:
        found = [value for row in heat.cells.values() for value in row.values() if math.isfinite(value)]
        cards.append(Card("Retrieval P@10", score(fmean(found)) if found else "–", f"mean of all pairs; {heat.caption}"))
    return cards + (_round_cards(run) if run.scope("round") else [])


def _accuracy_card(split: str, table: Mapping[str, float]) -> Card:
    label, known = f"Accuracy, {split} split", _defined(table)
    if not known:
        return Card(label, "–", "not defined")
    least = min(known, key=known.__getitem__)
    note = f"least of {len(known)} modalities: {least}, {percent(known[least])}" if len(known) > 1 else least
    return Card(label, percent(fmean(known.values())), note)


def _round_cards(run: Run) -> list[Card]:
    rounds = run.scope("round")
    asked, counted, rejected = (_total(rounds, key) for key in ("asked", "replies", "rejected"))
    up = run.result.bytes.up_per_node_round if run.result else _ratio(_total(rounds, "bytes-up"), counted + rejected)
    down = run.result.bytes.down_per_node_round if run.result else _ratio(_total(rounds, "bytes-down"), asked)
    pace = [seconds for line in rounds if math.isfinite(seconds := _figure(line, "seconds"))]
    return [
        Card("Sent by a node and round", size(up), f"received: {size(down)}"),
        Card("Median round", duration(median(pace)) if pace else "–", f"{duration(sum(pace))} for {len(rounds)} rounds"),
        Card("Replies that counted", f"{whole(counted)} of {whole(asked)}", f"{whole(rejected)} rejected"),
    ]


def _accuracy_charts(run: Run) -> list[tuple[str, Markup]]:
    """One chart a split. Round r evaluates the model that came in, which r - 1 rounds have trained."""
    drawn: list[tuple[str, Markup]] = []
    for split in run.splits:
        points: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        for line in run.scope("modality"):
            if _text(line, "split") == split:
                points[_text(line, "modality")].append((line["round"] - 1, _figure(line, "accuracy")))
        if points:
            series = [Series(name, run.slots[name], tuple(points[name])) for name in sorted(points)]
            title = f"Accuracy on the {split} split"
            drawn.append((title, charts.line_chart(series, title, "rounds of training", _axis_percent, 1.0, run.rounds_kept)))
    return drawn


def _node_rows(run: Run) -> list[NodeRow]:
    rows: list[NodeRow] = []
    for name, held in run.holdings.items():
        node, tables = run.census.get(name), run.node_accuracy.get(name, {})
        for modality in held:
            measured = {split: table[modality] for split, table in tables.items() if modality in table}
            rows.append(
                NodeRow(name, modality, node.examples if node else math.nan, node.labelled if node else math.nan, measured)
            )
    return rows


def _cka_charts(run: Run) -> list[tuple[str, Markup]]:
    """One chart a modality, its lines the other modalities; a single one where there is a single pair."""
    lines: defaultdict[str, defaultdict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for line in run.scope("cka"):
        for here, there in permutations(_text(line, "pair").split("|"), 2):
            lines[here][there].append((line["round"], _figure(line, "cka")))
    shown = sorted(lines) if len(lines) > 2 else sorted(lines)[:1]
    drawn: list[tuple[str, Markup]] = []
    for here in shown:
        title = f"Agreement with {here}"
        series = [Series(there, run.slots[there], tuple(points)) for there, points in sorted(lines[here].items())]
        drawn.append((title, charts.line_chart(series, title, "round", score, 1.0)))
    return drawn


def _cka_map(cka: Mapping[str, float]) -> HeatMap | None:
    cells: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for pair, value in cka.items():
        for here, there in permutations(pair.split("|"), 2):
            cells[here][there] = value
    return HeatMap("All pairs in the last round", sorted(cells), cells) if cells else None


def _retrieval_maps(result: Result | None, figure: Callable[[Retrieval], float]) -> list[HeatMap]:
    """One map a split and space, the space of the anchor coordinates first."""
    maps: list[HeatMap] = []
    for split, spaces in (result.retrieval if result else {}).items():
        for space in sorted(name for name, table in spaces.items() if table):
            cells: defaultdict[str, dict[str, float]] = defaultdict(dict)
            for pair, scores in spaces[space].items():
                query, _, gallery = pair.partition("->")
                cells[query][gallery] = figure(scores)
            labels = sorted({*cells, *(gallery for row in cells.values() for gallery in row)})
            maps.append(HeatMap(f"{SPACES.get(space, space)}, {split} split", labels, cells))
    return maps


def _weight_panels(run: Run) -> list[WeightPanel]:
    panels: list[WeightPanel] = []
    for group, shares in sorted(run.weights.items()):
        rows = [(node, run.node_slot(node), shares[node]) for node in run.holdings if node in shares]
        equal = 1 / len(rows) if rows else 1.0
        panels.append(WeightPanel(group, rows, max(equal, *_defined(shares).values()), equal))
    return sorted(panels, key=lambda panel: (-len(panel.rows), panel.group))


def _byte_chart(run: Run) -> Markup | None:
    rounds = run.scope("round")
    if not rounds:
        return None
    series = [
        Series(label, slot, tuple((line["round"], _figure(line, key)) for line in rounds))
        for label, slot, key in (("up", charts.UP, "bytes-up"), ("down", charts.DOWN, "bytes-down"))
    ]
    return charts.column_chart(series, "Bytes of all nodes", "round", size)


def _round_rows(run: Run) -> list[RoundRow]:
    return [
        RoundRow(
            round=line["round"],
            seconds=_figure(line, "seconds"),
            asked=_figure(line, "asked"),
            replies=_figure(line, "replies"),
            rejected=_figure(line, "rejected"),
            up=_figure(line, "bytes-up"),
            down=_figure(line, "bytes-down"),
            kept=line.get("kept-old-model") is True,
        )
        for line in run.scope("round")
    ]


def _command(config: Mapping[str, Any]) -> str:
    """The command line that repeats the run: every setting that is not the default, but for where it is written."""
    usual = parse_config({}).flat() | COMMAND_DEFAULTS
    changed = {key: value for key, value in config.items() if key not in ("run-folder", "resume") and value != usual.get(key)}
    return " ".join(["concord run", *(f"--set {shlex.quote(f'{key}={_plain(value)}')}" for key, value in changed.items())])


def percent(value: float) -> str:
    return f"{100 * value:.1f}\N{NARROW NO-BREAK SPACE}%" if math.isfinite(value) else "–"


def score(value: float) -> str:
    return f"{value:.2f}".replace("-", "−") if math.isfinite(value) else "–"


def size(count: float) -> str:
    """Bytes in decimal units, to three digits."""
    if not math.isfinite(count):
        return "–"
    power = min(int(math.log10(count) // 3), 4) if count >= 1 else 0
    value = count / 1000**power
    digits = 0 if power == 0 or value >= 100 else 1
    return f"{value:.{digits}f}\N{NARROW NO-BREAK SPACE}{('B', 'kB', 'MB', 'GB', 'TB')[power]}"


def duration(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "–"
    if seconds < 60:
        return f"{seconds:.1f}\N{NARROW NO-BREAK SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def whole(count: float) -> str:
    return f"{count:.0f}" if math.isfinite(count) else "–"


def _axis_percent(value: float) -> str:
    return f"{100 * value:.0f}\N{NARROW NO-BREAK SPACE}%"


def _precision(scores: Retrieval) -> float:
    return scores.precision_at_10


def _ranking(scores: Retrieval) -> float:
    return scores.map


def _last_event(lines: Sequence[Line]) -> Line:
    return next((line for line in reversed(lines) if line.get("scope") == "run"), {})


def _figure(line: Line, key: str) -> float:
    value = line.get(key)
    return float(value) if isinstance(value, int | float) else math.nan


def _text(line: Line, key: str) -> str:
    return str(line.get(key, ""))


def _defined(table: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in table.items() if math.isfinite(value)}


def _total(lines: Iterable[Line], key: str) -> float:
    return sum(value for line in lines if math.isfinite(value := _figure(line, key)))


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """A sort key under which node-2 comes before node-10."""
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"([0-9]+)", name)]
