"""``concord retrieve``: what of one modality is nearest to samples of another. What is heavy is imported inside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from concord.commands.options import Json, Model, Texts
from concord.commands.samples import gather, of_suite
from concord.console import plain_console


def retrieve(
    model: Model,
    query_modality: Annotated[str, typer.Option("--from", help="the modality of the queries")],
    gallery_modality: Annotated[str, typer.Option("--to", help="the modality of the gallery")],
    queries: Annotated[list[Path] | None, typer.Option("--query", help="a file, or a folder of them; may be repeated")] = None,
    texts: Texts = None,
    gallery: Annotated[
        Path | None, typer.Option(help="a folder of files, or a file with a text a line; default the test of the run's suite")
    ] = None,
    split: Annotated[str, typer.Option(help="which test of the suite")] = "unseen",
    data: Annotated[Path | None, typer.Option(help="folder with the data packs of the suite; default that of the run")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="how many")] = 10,
    as_json: Json = False,
) -> None:
    """Finds the samples of one modality that are nearest to samples of another."""
    from concord import load_model

    trained = load_model(model)
    asked = gather(trained, query_modality, queries or [], texts or [])
    if gallery is not None:
        there = gather(trained, gallery_modality, [gallery])
    else:
        there = of_suite(trained, gallery_modality, split, data)
    found = trained.retrieve(query_modality, asked.given, gallery_modality, there.given, k)
    table = Table("query", "rank", "sample", "class", "cosine")
    for name, rows, cosines in zip(asked.names, found.row.tolist(), found.cosine.tolist(), strict=True):
        for rank, (row, cosine) in enumerate(zip(rows, cosines, strict=True), 1):
            known = there.classes[row] if there.classes else ""
            if as_json:
                line = {"query": name, "rank": rank, "sample": there.names[row], "class": known or None, "cosine": cosine}
                print(json.dumps(line, ensure_ascii=False))
            else:
                table.add_row(name, str(rank), there.names[row], known, f"{cosine:.3f}")
    if not as_json:
        plain_console().print(table)
