"""``concord classify``: which class samples are of. What is heavy is imported inside."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from concord.commands.options import Files, Json, Model, OfModality, Texts
from concord.commands.samples import gather
from concord.console import plain_console
from concord.errors import ConcordError

SHOWN = 3


def classify(
    model: Model,
    modality: OfModality,
    files: Files = None,
    texts: Texts = None,
    also: Annotated[
        list[str] | None, typer.Option(metavar="MODALITY=SAMPLE", help="the same sample in another modality: a file or a text")
    ] = None,
    as_json: Json = False,
) -> None:
    """Tells the most probable classes of samples."""
    from concord import load_model

    trained = load_model(model)
    asked = gather(trained, modality, files or [], texts or [])
    given = {modality: asked.given}
    for part in also or []:
        other, equals, what = part.partition("=")
        if not equals:
            raise ConcordError("C702", f"--also {part!r} is not MODALITY=SAMPLE", "write for example --also image=scan.png")
        is_text = trained.preparation(other).kind == "text"
        given[other] = gather(trained, other, [] if is_text else [Path(what)], [what] if is_text else ()).given
    probability_NC = trained.classify(given)
    values, index = probability_NC.topk(min(SHOWN, len(trained.concepts)), dim=1)
    rows = [
        {trained.concepts[c]: value for c, value in zip(classes, shares, strict=True)}
        for classes, shares in zip(index.tolist(), values.tolist(), strict=True)
    ]
    if as_json:
        for name, row in zip(asked.names, rows, strict=True):
            print(json.dumps({"sample": name, "class": next(iter(row)), "probabilities": row}, ensure_ascii=False))
    else:
        plain_console().print(_table(asked.names, rows))


def _table(names: Sequence[str], rows: Sequence[Mapping[str, float]]) -> Table:
    table = Table("sample", "class", "probability", "else")
    for name, row in zip(names, rows, strict=True):
        (best, share), *others = row.items()
        table.add_row(name, best, f"{share:.3f}", ", ".join(f"{other} {value:.3f}" for other, value in others))
    return table
