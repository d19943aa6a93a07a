"""The headline figures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, median

from concord.samples import FUSED
from server_app.report.formats import duration, percent, score, size, whole
from server_app.report.panels import precision, retrieval_maps
from server_app.report.run_view import Run, defined, figure, total
from server_app.results import Ranking


@dataclass(frozen=True)
class Card:
    """A headline figure and one line about it."""

    label: str
    value: str
    note: str


def headline(run: Run) -> list[Card]:
    cards = [_accuracy_card(split, run.accuracy[split]) for split in run.splits if run.accuracy.get(split)]
    cards += [_ranking_card(split, table) for split, table in sorted(run.ranking.items())]
    if cka := defined(run.cka):
        least = min(cka, key=cka.__getitem__)
        note = f"least: {least.replace('|', ' – ')}, {score(cka[least])}"
        cards.append(Card("Mean agreement (CKA)", score(fmean(cka.values())), note))
    for heat in retrieval_maps(run.result, precision)[:1]:
        found = [value for row in heat.cells.values() for value in row.values() if math.isfinite(value)]
        cards.append(Card("Mean retrieval (P@10)", score(fmean(found)) if found else "–", heat.caption))
    return cards + (_round_cards(run) if run.rounds else [])


def _accuracy_card(split: str, table: Mapping[str, float]) -> Card:
    """The mean over the modalities, or where nodes hold pairs, what all modalities together reach."""
    alone = defined({name: value for name, value in table.items() if name != FUSED})
    if FUSED in table:
        best = max(alone, key=alone.__getitem__, default="")
        return Card(
            f"Fused accuracy, {split} split", percent(table[FUSED]), f"best alone: {best}, {percent(alone[best])}" if best else ""
        )
    label = f"Mean accuracy, {split} split"
    if not alone:
        return Card(label, "–", "not defined")
    least = min(alone, key=alone.__getitem__)
    note = f"least: {least}, {percent(alone[least])}" if len(alone) > 1 else least
    return Card(label, percent(fmean(alone.values())), note)


def _ranking_card(split: str, table: Mapping[str, Ranking]) -> Card:
    """The mean over the kinds of questions."""
    found, chance = (fmean(figures) for figures in zip(*((one.mrr, one.chance) for one in table.values()), strict=True))
    return Card(f"Mean reciprocal rank, {split} split", score(found), f"by chance: {score(chance)}")


def _round_cards(run: Run) -> list[Card]:
    rounds = run.rounds
    asked, counted, rejected = (total(rounds, key) for key in ("asked", "replies", "rejected"))
    up = run.result.bytes.up_per_node_round if run.result else _ratio(total(rounds, "bytes-up"), counted + rejected)
    down = run.result.bytes.down_per_node_round if run.result else _ratio(total(rounds, "bytes-down"), asked)
    pace = [seconds for line in rounds if math.isfinite(seconds := figure(line, "seconds"))]
    sent, received = total(rounds, "bytes-up"), total(rounds, "bytes-down")
    one, all_ = ("an agent", "agents") if run.of_agents else ("a party", "parties") if run.of_graphs else ("a node", "nodes")
    return [
        Card(f"Sent by {one} and round", size(up), f"received: {size(down)}"),
        Card(f"Traffic of all {all_}", size(sent + received), f"up: {size(sent)}, down: {size(received)}"),
        Card("Median round", duration(median(pace)) if pace else "–", f"{duration(sum(pace))} for {len(rounds)} rounds"),
        Card("Replies that counted", f"{whole(counted)} of {whole(asked)}", f"{whole(rejected)} rejected"),
    ]


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
