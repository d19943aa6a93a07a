"""The samples that a command is asked about: files, folders of files, texts, or the test of a suite."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from concord.errors import ConcordError

if TYPE_CHECKING:
    from client_app.inference.trained import Given, TrainedModel


@dataclass(frozen=True)
class Asked:
    """N samples of one modality.

    Attributes:
        names: of each: a path, a text, or an id.
        given: the samples.
        classes: of each, where they are known; else empty.
    """

    names: Sequence[str]
    given: Given
    classes: Sequence[str] = ()


def gather(model: TrainedModel, modality: str, paths: Iterable[Path], texts: Sequence[str] = ()) -> Asked:
    """What a user names: files, all files below folders, and texts; of text, files have a text a line, of tables a row a sample.

    Raises:
        ConcordError: C204 for a modality that the model does not have, C206 for what cannot be read, C702 for nothing, or texts
            where no text is wanted.
    """
    kind = model.preparation(modality).kind
    files = [file for path in paths for file in _files_of(path)]
    if kind == "text":
        lines = [*texts, *(line for file in files for line in _lines_of(file))]
        return Asked(_some(lines, modality), lines)
    if texts:
        what = f"samples of modality {modality!r} are of kind {kind}, and --text gives a text"
        raise ConcordError("C702", what, "name files, or another modality")
    if kind == "table":
        return _rows_of(files, modality)
    return Asked(_some([str(file) for file in files], modality), files)


def of_suite(model: TrainedModel, modality: str, split: str, data: Path | None) -> Asked:
    """The test samples of all nodes of the run's suite, each once, with their classes.

    Raises:
        ConcordError: C201 to C207 for the data of the suite, C702 where it has no such test.
    """
    from client_app.data.federation import build_federation
    from client_app.data.own.federation import own_federation
    from concord.own import OWN

    config = model.config if data is None else model.config.model_copy(update={"data": str(data)})
    if config.suite == OWN:
        federation = own_federation(config, model.anchors, pooled=True)
    else:
        place = Path(config.data) if config.data else None
        federation = build_federation(config.suite, place, config.seed, config.scenario, pooled=True)
    (whole,) = federation.nodes
    samples = whole.tests.get(split, {}).get(modality)
    if samples is None or not len(samples):
        what = f"suite {config.suite} has no test {split!r} in modality {modality!r}"
        raise ConcordError("C702", what, f"choose one of: {', '.join(whole.tests)}, or name a --gallery")
    classes = [model.concepts[y] if y >= 0 else "" for y in samples.y.tolist()]
    return Asked(samples.ids, samples.x, classes)


def _files_of(path: Path) -> list[Path]:
    """A file, or all files below a folder by name, hidden ones left out."""
    if not path.is_dir():
        return [path]
    below = sorted(file for file in path.rglob("*") if file.is_file())
    return [file for file in below if not any(part.startswith(".") for part in file.relative_to(path).parts)]


def _lines_of(file: Path) -> list[str]:
    try:
        return [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise ConcordError("C206", f"{file}: {error}", "name a file of UTF-8 text with a text a line") from error


def _rows_of(files: Iterable[Path], modality: str) -> Asked:
    """The rows of tables, by their ids where there is a column `id`."""
    from client_app.data.own.index import entries_of, read_entries
    from client_app.data.own.layout import Source

    names, given = [], []
    for file in files:
        source = Source(kind="table", table=file.name)
        for entry, row in read_entries(file.parent, source, entries_of(file.parent, source)):
            names.append(entry.id)
            given.append(row)
    return Asked(_some(names, modality), given)


def _some(names: Sequence[str], modality: str) -> Sequence[str]:
    if not names:
        raise ConcordError("C702", f"no sample of modality {modality!r} is named", "name files or folders, or give --text")
    return names
