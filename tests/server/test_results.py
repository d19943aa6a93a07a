"""result.json: what is written is read again, what is malformed is told clearly, and the tables are right."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from synthetic_run import write_synthetic_run

from concord.errors import ConcordError
from concord.functional.gram import gram
from server_app.results import RESULT, Result, cka_table, load_result, retrieval_table, save_result


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_synthetic_run(tmp_path / "run").path


def _change(run: Path, key: str, value: Any) -> None:
    written = json.loads((run / RESULT).read_text())
    (run / RESULT).write_text(json.dumps(written | {key: value}))


def test_round_trip(run: Path, tmp_path: Path) -> None:
    result = load_result(run)
    save_result(tmp_path, result)
    assert load_result(tmp_path) == result
    assert result.accuracy["random"]["pen"].examples == 420
    assert len(result.nodes) == 14


def test_keys_are_kebab_case(run: Path) -> None:
    written = json.loads((run / RESULT).read_text())
    assert written["schema-version"] == 1
    assert {"node-accuracy", "rounds-kept", "per-round"} <= {*written, *written["seconds"]}
    assert not [key for key in (*written, *written["bytes"]) if "_" in key]


def test_every_key_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "run-folder.md").read_text()
    keys = [field.alias or name for name, field in Result.model_fields.items()]
    assert [key for key in keys if f"`{key}`" not in page] == []


def test_undefined_figures_are_null_in_the_file_and_nan_in_python(run: Path, tmp_path: Path) -> None:
    result = load_result(run).model_copy(update={"cka": {"image|pen": math.nan}})
    text = save_result(tmp_path, result).read_text()
    assert json.loads(text)["cka"] == {"image|pen": None}
    assert math.isnan(load_result(tmp_path).cka["image|pen"])


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("schema-version", 2, "schema-version"),
        ("rounds", "ten", "rounds"),
        ("rounds", -1, "rounds"),
        ("accuracy", {"random": {"pen": {"accuracy": 0.5}}}, "accuracy.random.pen.examples"),
        ("surprise", 1, "surprise"),
    ],
)
def test_malformed_fields_are_named(run: Path, key: str, value: Any, named: str) -> None:
    _change(run, key, value)
    with pytest.raises(ConcordError, match="C405") as caught:
        load_result(run)
    assert named in caught.value.message


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_unreadable_files(run: Path, content: bytes) -> None:
    (run / RESULT).write_bytes(content)
    with pytest.raises(ConcordError, match="C405"):
        load_result(run)


def test_missing_file_says_how_to_go_on(tmp_path: Path) -> None:
    with pytest.raises(ConcordError, match="resume"):
        load_result(tmp_path)


def test_retrieval_of_perfect_and_of_crossed_embeddings() -> None:
    class_N = torch.arange(4).repeat_interleave(10)
    right = torch.eye(4)[class_N]
    crossed = torch.eye(4)[(class_N + 1) % 4]
    table = retrieval_table({"b": (right, class_N), "a": (right, class_N), "c": (crossed, class_N)})
    assert list(table) == ["a->b", "a->c", "b->a", "b->c", "c->a", "c->b"]
    assert table["a->b"].precision_at_10 == pytest.approx(1.0)
    assert table["b->a"].map == pytest.approx(1.0)
    assert table["a->c"].precision_at_10 == 0.0
    assert table["c->b"].map < 0.5


def test_retrieval_leaves_out_samples_without_a_class() -> None:
    class_N = torch.arange(4).repeat_interleave(10)
    right = torch.eye(4)[class_N]
    hidden_N = class_N.masked_fill(class_N == 3, -1)
    table = retrieval_table({"a": (right, hidden_N), "b": (right, class_N), "c": (right, torch.full_like(class_N, -1))})
    assert set(table) == {"a->b", "b->a"}
    assert table["a->b"].precision_at_10 == pytest.approx(1.0)
    assert retrieval_table({"a": (right, class_N)}) == {}


def test_cka_over_the_concepts_that_both_have() -> None:
    z_CD = torch.randn(8, 16, generator=torch.Generator().manual_seed(0))
    every, few = torch.ones(8, dtype=torch.bool), torch.arange(8) < 3
    turned_CC = gram(z_CD @ torch.linalg.qr(torch.randn(16, 16, generator=torch.Generator().manual_seed(1)))[0])
    table = cka_table({"b": (turned_CC, every), "a": (gram(z_CD), every), "c": (gram(z_CD), few)})
    assert list(table) == ["a|b", "a|c", "b|c"]
    assert table["a|b"] == pytest.approx(1.0, abs=1e-5)
    assert math.isnan(table["a|c"])
