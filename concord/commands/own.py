"""The commands for a user's own data: what is wrong with a folder, and making an anchor set."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from concord.commands.bar import bar
from concord.commands.inspect import STYLES
from concord.errors import ConcordError

if TYPE_CHECKING:
    from client_app.data.own.check import Checked
    from client_app.data.own.problem import Problem
    from client_app.data.own.quality import Quality
    from concord.anchors import AnchorSet

SHOWN = 10  # problems of one sort that are listed; --json lists all


def check_folder(folder: Path, anchors: Path | None, console: Console, *, deep: bool, as_json: bool) -> bool:
    """Whether a run can use a folder of own data, or all folders of nodes below it; shows what was found."""
    from client_app.data.own.check import check_own, folders_to_check
    from client_app.data.own_graph.check import check_graph
    from client_app.data.own_graph.layout import is_graph
    from concord.anchors import load_anchors

    public = load_anchors(anchors) if anchors else None
    errors = 0
    for node in folders_to_check(folder):
        with bar(console, hidden=as_json) as advance:
            checked = check_graph(node, public) if is_graph(node) else check_own(node, public, advance, deep=deep)
        errors += checked.errors
        if as_json:
            for problem in checked.problems:
                console.print(json.dumps(asdict(problem), ensure_ascii=False), soft_wrap=True)
        else:
            _show(checked, console)
    return errors == 0


def build_anchors(
    out: Path, folders: Sequence[str], table: Path | None, encoders: Sequence[str], per_concept: int, seed: int, console: Console
) -> None:
    """Writes an anchor set from folders, ``modality=FOLDER``, and a table of concepts; ConcordError C301 over another set."""
    from client_app.data.own import anchors as own

    public = own.concept_table(table) if table else {}
    public |= {m: own.public_folder(Path(folder), m) for m, folder in _pairs("--modality", folders).items()}
    if not public:
        raise ConcordError("C302", "no modality is named", "write --modality speech=FOLDER, or --concepts TABLE")
    concepts = own.table_concepts(table) if table else ()
    made = own.build_anchors(public, _pairs("--encoder", encoders), concepts, per_concept, seed)
    _save(made, out)
    samples = ", ".join(f"{len(part)} {modality} ({made.encoders[modality]})" for modality, part in made.modalities.items())
    summary = f"{out}: {len(made.concepts)} concepts, {samples}, set {made.digest[:12]}"
    console.print(summary, soft_wrap=True)


def build_graph_anchors(out: Path, folders: Sequence[str], console: Console) -> None:
    """Writes what parties to a graph agree on, from folders of graphs; ConcordError C301 over another set."""
    from client_app.data.own_graph.anchors import graph_anchors

    made = graph_anchors([Path(folder) for folder in folders])
    _save(made, out)
    console.print(f"{out}: {_of_graph(made)}, set {made.digest[:12]}", soft_wrap=True)


def _save(made: AnchorSet, out: Path) -> None:
    from concord.anchors import MANIFEST, load_anchors, save_anchors

    if (out / MANIFEST).exists() and load_anchors(out).digest != made.digest:
        raise ConcordError("C301", f"{out} holds another anchor set", "choose an empty folder, or delete this one")
    try:
        save_anchors(made, out)
    except OSError as error:
        raise ConcordError("C301", f"{out}: {error}", "choose a folder that you may write to") from error


def _of_graph(anchors: AnchorSet) -> str:
    """The classes and features that an anchor set without samples tells."""
    features = (f"{samples.x.shape[1]:,} features of {modality}" for modality, samples in sorted(anchors.modalities.items()))
    return ", ".join((f"{len(anchors.concepts)} concepts", *features))


def check_anchors(folder: Path, plot: Path | None, seed: int, console: Console, *, as_json: bool) -> bool:
    """Whether an anchor set can be used; shows coverage, what is alike, and how stable CKA is for its size."""
    from client_app.data.own.quality import assess
    from concord.anchors import load_anchors

    anchors = load_anchors(folder)
    if anchors.of_graphs:
        return _check_of_graphs(anchors, plot, console, as_json=as_json)
    qualities, problems = assess(anchors, seed)
    if plot:
        from server_app.report.stability import stability_plot

        try:
            plot.write_text(stability_plot({modality: quality.agreement for modality, quality in qualities.items()}))
        except OSError as error:
            raise ConcordError("C406", f"{plot}: {error}", "choose a place that you may write to") from error
    if as_json:
        whole = {"modalities": {m: asdict(quality) for m, quality in qualities.items()}, "problems": list(map(asdict, problems))}
        console.print(json.dumps(whole, ensure_ascii=False), soft_wrap=True)
    else:
        console.print(_quality_table(qualities))
        _show_problems(problems, console)
    return not any(problem.severity == "error" for problem in problems)


def _check_of_graphs(anchors: AnchorSet, plot: Path | None, console: Console, *, as_json: bool) -> bool:
    """Shows a set that has no samples, of which there is nothing to measure."""
    if plot:
        raise ConcordError("C302", f"the anchor set {anchors.digest[:12]} has no samples to plot", "leave --plot out")
    if as_json:
        modalities = {m: {"features": samples.x.shape[1]} for m, samples in anchors.modalities.items()}
        told = json.dumps({"modalities": modalities, "problems": []}, ensure_ascii=False)
    else:
        told = f"of graphs: {_of_graph(anchors)}; there are no samples, so nothing is measured"
    console.print(told, soft_wrap=True)
    return True


def _quality_table(qualities: Mapping[str, Quality]) -> Table:
    caption = "CKA: mean and 95 % interval between two halves of the samples; by chance: with the concepts of one shuffled"
    table = Table("modality", "samples", "concepts", "fewest", "most alike", caption=caption)
    table.add_column("CKA of halves", no_wrap=True)
    table.add_column("by chance", no_wrap=True)
    for modality, quality in qualities.items():
        cosine, one, other = quality.most_alike
        last = quality.agreement[-1] if quality.agreement else None
        cka = [f"{mean:.2f} {low:.2f}-{high:.2f}" for mean, low, high in (last.same, last.chance)] if last else ["-", "-"]
        counts = (f"{count:,}" for count in (quality.samples, quality.covered, quality.fewest))
        table.add_row(modality, *counts, f"{one}, {other}: {cosine:.2f}", *cka)
    return table


def _pairs(option: str, texts: Iterable[str]) -> Mapping[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name or not value or name in pairs:
            raise ConcordError("C102", f"{option} {text!r}", f"write {option} speech=..., each modality once")
        pairs[name] = value
    return pairs


def _show(checked: Checked, console: Console) -> None:
    _show_problems(checked.problems, console)
    held = ", ".join(f"{count:,} {m} of {checked.labels[m]:,} labels" for m, count in checked.samples.items()) or "nothing"
    notes = len(checked.problems) - checked.errors
    line = f"{checked.name}: {held}; {checked.errors:,} errors, {notes:,} notes"
    console.print(line, soft_wrap=True)


def _show_problems(problems: Sequence[Problem], console: Console) -> None:
    """By sort, the first of each, and what to do about it."""
    sorts = Counter((problem.severity, problem.what) for problem in problems)
    for (severity, what), count in sorted(sorts.items()):
        same = [problem for problem in problems if (problem.severity, problem.what) == (severity, what)]
        table = Table.grid(padding=(0, 1))
        for problem in same[:SHOWN]:
            table.add_row("  ", Text(f"{problem.place}: {problem.message}", overflow="fold"))
        console.print(Text(severity, STYLES[severity]) + Text(f" {what}: {count:,}", style="default"))
        console.print(table)
        if count > SHOWN:
            console.print(f"   and {count - SHOWN:,} more (--json lists all)")
        _hints(same, console)


def _hints(problems: Sequence[Problem], console: Console) -> None:
    for hint in dict.fromkeys(problem.hint for problem in problems):
        console.print(f"  What to do: {hint}", soft_wrap=True)
