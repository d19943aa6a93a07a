"""The tables that commands print."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MultipleOf
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from rich.filesize import decimal
from rich.table import Column, Table

from concord.config import RunConfig
from concord.kinds import of_all_slices

if TYPE_CHECKING:
    from server_app.results import Result

LIMITS = {Ge: (">=", "ge"), Gt: (">", "gt"), Le: ("<=", "le"), Lt: ("<", "lt"), MultipleOf: ("multiple of", "multiple_of")}


def result_table(result: Result) -> Table:
    """Accuracy by modality and split, or mean reciprocal ranks by kind of questions, then bytes and time."""
    splits = list(result.ranking or result.accuracy)
    title = f"{result.method} on {result.suite} ({result.scenario}), {result.rounds} rounds, seed {result.seed}"
    caption = (
        f"up {decimal(result.bytes.up_total)}, down {decimal(result.bytes.down_total)}, "
        f"{result.seconds.total:.0f} s, {len(result.rejections)} rejected"
    )
    table = Table(title=title, caption=caption, min_width=len(title))
    table.add_column("mean reciprocal rank" if result.ranking else "accuracy")
    for split in splits:
        table.add_column(split, justify="right")
    if result.ranking:
        for kind in sorted({kind for by_kind in result.ranking.values() for kind in by_kind}):
            ranked = [result.ranking[split].get(kind) for split in splits]
            table.add_row(kind, *("-" if r is None else f"{r.mrr:.3f} (by chance {r.chance:.3f})" for r in ranked))
        return table
    named = {name for by_name in result.accuracy.values() for name in by_name}
    for modality in sorted(named, key=lambda name: (not of_all_slices(name), name)):
        figures = [result.accuracy[split].get(modality) for split in splits]
        table.add_row(modality, *("-" if f is None or math.isnan(f.accuracy) else f"{f.accuracy:.3f}" for f in figures))
    return table


def config_table() -> Table:
    """Every key of the run configuration."""
    table = Table(Column("key", no_wrap=True), "type", "default", "description", box=None, header_style="bold")
    for key, field in config_fields(RunConfig):
        table.add_row(
            key, type_of(field), repr(field.default) if field.default == "" else _toml(field.default), field.description
        )
    return table


def config_fields(section: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """The dotted keys of a section of the configuration and their fields, in the order of declaration."""
    for name, field in section.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from config_fields(field.annotation, f"{key}.")
        else:
            yield key, field


def type_of(field: FieldInfo) -> str:
    """The type of a field for people: ``float > 0, <= 1`` or ``dora | lora | full``."""
    if get_origin(field.annotation) is Literal:
        return " | ".join(get_args(field.annotation))
    limits = [
        f"{sign} {getattr(limit, name)}"
        for limit in field.metadata
        for kind, (sign, name) in LIMITS.items()
        if isinstance(limit, kind)
    ]
    return " ".join([_name(field.annotation), ", ".join(limits)]).strip()


def _name(annotation: object) -> str:
    return getattr(annotation, "__name__", str(annotation))


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
