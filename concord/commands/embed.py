"""``concord embed``: where samples are in the space that all modalities share. What is heavy is imported inside."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from concord.commands.options import Files, Json, Model, OfModality, Texts
from concord.commands.samples import gather
from concord.console import plain_console
from concord.errors import ConcordError

if TYPE_CHECKING:
    from torch import Tensor

SHOWN = 3


def embed(
    model: Model,
    modality: OfModality,
    files: Files = None,
    texts: Texts = None,
    space: Annotated[str, typer.Option(help="anchor-coordinates, which all modalities share, or pooled")] = "anchor-coordinates",
    out: Annotated[Path | None, typer.Option(help="write all values to a file: NAME.npy or NAME.parquet")] = None,
    as_json: Json = False,
) -> None:
    """Embeds samples with a trained model."""
    from concord import load_model
    from concord.functional.retrieval import COORDINATES

    if out is not None and out.suffix not in WRITERS:
        raise ConcordError("C703", f"{out} is of no known format", f"choose a name that ends with {' or '.join(WRITERS)}")
    trained = load_model(model)
    asked = gather(trained, modality, files or [], texts or [])
    x_ND = trained.embed(modality, asked.given, space)
    if out is not None:
        try:
            WRITERS[out.suffix](out, asked.names, x_ND)
        except OSError as error:
            raise ConcordError("C703", f"{out}: {error}", "choose a file that you may write") from error
        plain_console().print(f"{out}: {x_ND.shape[0]} x {x_ND.shape[1]}, {space}", soft_wrap=True)
    elif as_json:
        for name, values in zip(asked.names, x_ND.tolist(), strict=True):
            print(json.dumps({"sample": name, space: values}, ensure_ascii=False))
    else:
        axes = trained.concepts if space == COORDINATES else [str(axis) for axis in range(x_ND.shape[1])]
        plain_console().print(_table(asked.names, x_ND, axes, space))


def _table(names: Sequence[str], x_ND: Tensor, axes: Sequence[str], space: str) -> Table:
    """The largest values of each sample."""
    table = Table("sample", f"largest {space}")
    for name, x_D in zip(names, x_ND, strict=True):
        values, index = x_D.topk(min(SHOWN, len(axes)))
        shown = (f"{axes[i]} {value:.3f}" for i, value in zip(index.tolist(), values.tolist(), strict=True))
        table.add_row(name, ", ".join(shown))
    return table


def _write_npy(out: Path, names: Sequence[str], x_ND: Tensor) -> None:
    import numpy as np

    with out.open("wb") as file:
        np.save(file, x_ND.numpy(), allow_pickle=False)


def _write_parquet(out: Path, names: Sequence[str], x_ND: Tensor) -> None:
    """Columns ``sample`` and ``embedding``, a list of fixed size."""
    import pyarrow as pa
    from pyarrow import parquet

    rows = pa.FixedSizeListArray.from_arrays(pa.array(x_ND.flatten().numpy()), x_ND.shape[1])
    parquet.write_table(pa.table({"sample": pa.array(names, pa.string()), "embedding": rows}), out)


WRITERS = {".npy": _write_npy, ".parquet": _write_parquet}
