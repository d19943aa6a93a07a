"""Options that the commands for trained models have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[Path, typer.Option(help="the folder `model` of a run, or the run folder")]
OfModality = Annotated[str, typer.Option(help="the modality of the samples")]
Files = Annotated[
    list[Path] | None, typer.Argument(help="files, or folders of them; of a modality of text: files with a text a line")
]
Texts = Annotated[list[str] | None, typer.Option("--text", help="a sample that is a text; may be repeated")]
Json = Annotated[bool, typer.Option("--json", help="one JSON object a line")]
