"""What is wrong with folders of own data, told a file at a time, before any run meets it.

Heads of files are read, not their whole content, so that 100,000 files take seconds; `deep` decodes every one. Contents are
compared by size first, and by SHA-256 only where sizes are equal.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from client_app.data.own.advance import Advance
from client_app.data.own.entry import FILE, Entry
from client_app.data.own.index import content_of, listed
from client_app.data.own.layout import DATASET, MANIFESTS, Dataset, Source, is_described, read_dataset
from client_app.data.own.node import preparation_for, sources_by_modality
from client_app.data.own.pattern import walk
from client_app.data.own.problem import Problem
from client_app.data.own.roles import roles_of
from client_app.data.own.rows_of_series import tried_series
from client_app.data.own.table_check import about_columns, tried_rows
from client_app.encoders.series import SERIES
from client_app.files import look_of, read
from client_app.files.unreadable import printable
from concord.anchors import AnchorSet
from concord.errors import ConcordError

T = TypeVar("T")
Form = str | ConcordError  # a word on the form of a sample, or why it has none
THREADS = 8
TOGETHER = 256  # files of a turn of a thread

_TWICE = "keep one of them, or a copy may be learnt from and tested"


@dataclass(frozen=True)
class Checked:
    """A folder that was checked: its samples by modality, and all that is to be said."""

    name: str
    samples: Mapping[str, int]
    labels: Mapping[str, int]
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> int:
        return sum(problem.severity == "error" for problem in self.problems)


def folders_to_check(folder: Path) -> list[Path]:
    """The folders of nodes below one, where any is described; or that folder itself."""
    if is_described(folder) or not folder.is_dir():
        return [folder]
    below = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return below if any(map(is_described, below)) else [folder]


def check_own(folder: Path, anchors: AnchorSet | None, advance: Advance, *, deep: bool = False) -> Checked:
    """Everything that there is to say about the folder of one node; anchors tell concepts, and which samples are public."""
    try:
        dataset = read_dataset(folder)
        sources = sources_by_modality(dataset, anchors) if anchors else dict(dataset.sources)
        found = {modality: list(listed(folder, source)) for modality, source in sources.items()}
    except ConcordError as error:
        return Checked(folder.name, {}, {}, (_of_error(str(folder), "folder", error),))
    problems: list[Problem] = []
    for modality, entries in found.items():
        encoder = anchors.encoders.get(modality, "") if anchors else ""
        try:
            if encoder:
                preparation_for(folder, modality, sources[modality], encoder)
        except ConcordError as error:
            problems.append(_of_error(str(folder), "encoder", error))
            encoder = ""
        problems += _about_labels(folder, entries, anchors)
        problems += _about_ids(folder, entries)
        form_of = _forms(folder, sources[modality], entries, encoder, advance, deep=deep)
        problems += _about_contents(folder, sources[modality], form_of)
        if sources[modality].kind == "series":
            problems += _about_channels(folder, form_of, encoder)
        if sources[modality].kind == "table":
            problems += about_columns(folder, sources[modality], encoder)
        problems += _about_copies(folder, sources[modality], entries, _public(anchors, modality), advance)
    problems += _about_splits(folder, [entry for entries in found.values() for entry in entries])
    problems += _left_out(dataset, found.values())
    labels = {m: len({entry.label for entry in entries} - {None}) for m, entries in found.items()}
    return Checked(dataset.name, {m: len(entries) for m, entries in found.items()}, labels, tuple(problems))


def _about_labels(folder: Path, entries: Sequence[Entry], anchors: AnchorSet | None) -> Iterator[Problem]:
    known = set(anchors.concepts) if anchors else None
    unlabelled = sum(entry.label is None for entry in entries)
    if unlabelled:
        what = f"{unlabelled:,} of {len(entries):,} samples have no label"
        yield Problem(str(folder), "note", "unlabelled", what, "nothing, if that is meant: they are learnt from without one")
    for entry in entries:
        if known is not None and entry.label is not None and entry.label not in known:
            hint = f"`labels` in {DATASET} says which concept it stands for"
            yield Problem(_place(folder, entry), "error", "label", f"label {entry.label!r} is no concept of the anchors", hint)


def _about_ids(folder: Path, entries: Sequence[Entry]) -> Iterator[Problem]:
    first: dict[str, Entry] = {}
    for entry in entries:
        if (other := first.setdefault(entry.id, entry)) is not entry:
            message = f"has the id {entry.id!r}, as {other.place} has"
            yield Problem(_place(folder, entry), "error", "id", message, "give each sample of a modality an id of its own")


def _about_splits(folder: Path, entries: Sequence[Entry]) -> Iterator[Problem]:
    for entry in entries:
        if entry.split is not None:
            try:
                roles_of([entry], 0)
            except ConcordError as error:
                yield _of_error(_place(folder, entry), "split", error)


def _forms(
    folder: Path, source: Source, entries: Sequence[Entry], encoder: str, advance: Advance, *, deep: bool
) -> dict[Entry, Form]:
    """What tells of each sample that it is of the kind, or the error that it is not; of texts in a table nothing."""
    if source.channels:
        tried = tried_series(folder, source, entries)
        return {entry: told if isinstance(told, ConcordError) else f"{len(told)} x {told.shape[1]}" for entry, told in tried}
    if source.kind == "table":
        return dict(tried_rows(folder, source, entries, encoder)) if encoder else {}
    files = [entry for entry in entries if entry.row == FILE]
    if not files:
        return {}
    look = look_of(source.kind)

    def tell(entry: Entry) -> Form:
        try:
            form = look(folder / entry.path)
            if deep:
                read(source.kind, folder / entry.path)
        except ConcordError as error:
            return error
        return form

    return dict(_in_threads(tell, files, f"{folder.name}: {'decoding' if deep else 'reading'}", advance))


def _about_contents(folder: Path, source: Source, form_of: Mapping[Entry, Form]) -> Iterator[Problem]:
    """Unreadable samples, and recordings of another rate."""
    for entry, told in form_of.items():
        if isinstance(told, ConcordError):
            message = told.message.removeprefix(f"{_place(folder, entry)}: ")
            yield Problem(_place(folder, entry), "error", "unreadable", message, "mend the file or take it away")
    if source.kind == "audio":
        yield from _about_rates(folder, source, {entry: told for entry, told in form_of.items() if isinstance(told, str)})


def _about_rates(folder: Path, source: Source, rate_of: Mapping[Entry, str]) -> Iterator[Problem]:
    usual = Counter(rate_of.values()).most_common(1)
    wanted = f"{source.rate} Hz" if source.rate else usual[0][0] if usual else ""
    for entry, rate in rate_of.items():
        if rate != wanted and source.rate:
            yield Problem(_place(folder, entry), "error", "rate", f"{rate}, not {wanted}", "record or convert it at that rate")
        elif rate != wanted:
            message = f"{rate}, where most are {wanted}"
            yield Problem(
                _place(folder, entry), "note", "rate", message, f"recordings are resampled; `rate` in {DATASET} forbids it"
            )


def _about_channels(folder: Path, form_of: Mapping[Entry, Form], encoder: str) -> Iterator[Problem]:
    """Series with other channels than the anchors have, or than most."""
    channels_of = {entry: told.rpartition(" ")[2] for entry, told in form_of.items() if isinstance(told, str)}
    usual = Counter(channels_of.values()).most_common(1)
    wanted = encoder.removeprefix(SERIES) if encoder.startswith(SERIES) else usual[0][0] if usual else ""
    for entry, channels in channels_of.items():
        if channels != wanted:
            hint = "all series of a modality have the same channels, and the anchors too"
            yield Problem(_place(folder, entry), "error", "channels", f"number of channels: {channels}, not {wanted}", hint)


def _about_copies(
    folder: Path, source: Source, entries: Sequence[Entry], public: Mapping[str, str], advance: Advance
) -> Iterator[Problem]:
    """Samples with the content of an earlier one, or of an anchor."""
    sizes = Counter(entry.size for entry in entries)
    of_anchors = {int(content.partition(" ")[0]) for content in public}
    suspects = [entry for entry in entries if entry.size and (sizes[entry.size] > 1 or entry.size in of_anchors)]

    def content(entry: Entry) -> str | None:
        try:
            return content_of(folder, entry)
        except ConcordError:
            return None  # told as unreadable

    first: dict[str, Entry] = {}
    for entry, told in _in_threads(content, suspects, f"{folder.name}: comparing", advance):
        if told is None:
            continue
        if told in public:
            message = f"is the anchor {public[told]!r}"
            yield Problem(_place(folder, entry), "error", "anchor", message, "take it out of the node's data, or of the anchors")
        if (other := first.setdefault(told, entry)) is not entry:
            differs = other.label != entry.label
            message = f"has the content of {other.place}" + (f", whose label is {other.label!r}" if differs else "")
            severe = differs and source.kind != "table"  # two patients may have the same few values
            yield Problem(_place(folder, entry), "error" if severe else "note", "duplicate", message, _TWICE)


def _left_out(dataset: Dataset, found: Iterable[Sequence[Entry]]) -> Iterator[Problem]:
    """Files that belong to no modality, told together by how their names end."""
    used = {entry.path for entries in found for entry in entries}
    used |= {DATASET, *MANIFESTS, *(source.table for source in dataset.sources.values())}
    others: dict[str, list[str]] = defaultdict(list)
    for path, _ in walk(dataset.folder):
        if path not in used:
            others[Path(path).suffix].append(printable(path))
    for suffix, paths in sorted(others.items()):
        what = f"{len(paths):,} files {f'*{suffix}' if suffix else 'without a suffix'} are of no modality, as {paths[0]}"
        yield Problem(str(dataset.folder), "note", "left out", what, f"say in {DATASET} what they are, if they are samples")


def _in_threads(work: Callable[[Entry], T], entries: Sequence[Entry], doing: str, advance: Advance) -> Iterator[tuple[Entry, T]]:
    """Each entry with what `work` makes of it, in order."""

    def turn(start: int) -> list[tuple[Entry, T]]:
        return [(entry, work(entry)) for entry in entries[start : start + TOGETHER]]

    with ThreadPoolExecutor(THREADS) as pool:
        for number, made in enumerate(pool.map(turn, range(0, len(entries), TOGETHER))):
            advance(doing, min((number + 1) * TOGETHER, len(entries)), len(entries))
            yield from made


def _public(anchors: AnchorSet | None, modality: str) -> dict[str, str]:
    """By content the id of each anchor that tells what it was made from."""
    contents = anchors.contents.get(modality, ()) if anchors else ()
    return dict(zip(contents, anchors.of(modality).ids, strict=True)) if anchors and contents else {}


def _place(folder: Path, entry: Entry) -> str:
    return str(folder / entry.place)


def _of_error(place: str, what: str, error: ConcordError) -> Problem:
    return Problem(place, "error", what, error.message.removeprefix(f"{place}: "), error.hint)
