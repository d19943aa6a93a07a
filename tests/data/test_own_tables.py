"""Tables whose rows are samples, told apart from tables that name files or hold texts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from own_data import CONCEPTS, write_pictures
from tiny_run import TINY

from client_app.app import app
from client_app.data.own.anchors import build_anchors, public_folder
from client_app.data.own.check import Checked, check_own
from client_app.data.own.index import entries_of, read_entries
from client_app.data.own.layout import Source, read_dataset
from client_app.data.own.node import load_own
from concord import load_model
from concord.anchors import AnchorSet, save_anchors
from concord.commands.samples import gather, of_suite
from concord.config import parse_config
from concord.errors import ConcordError
from concord.own import with_encoders
from server_app.in_process import InProcessGrid
from server_app.results import load_result
from server_app.run import open_run

SOURCE = Source(kind="table", table="labs.csv")
LABS = '[modality.labs]\nkind = "table"\ntable = "labs.csv"\n'
HEAD = "id,age,ward,sodium,label"


def write_labs(folder: Path, each: int = 12, seed: int = 0) -> Path:
    """Patients of another age and ward a concept; sodium tells nothing and is often not known."""
    rng = np.random.default_rng(seed)
    rows = [
        f"{concept}-{n},{20 + 25 * number + rng.integers(5)},{'ABC'[number]},{'' if n % 3 else 140 + n},{concept}"
        for number, concept in enumerate(CONCEPTS)
        for n in range(each)
    ]
    folder.mkdir(parents=True)
    (folder / "labs.csv").write_text("\n".join([HEAD, *rows]) + "\n")
    (folder / "dataset.toml").write_text(LABS)
    return folder


def anchors_of(folder: Path) -> AnchorSet:
    return build_anchors({"labs": public_folder(folder, "labs")}, {}, (), 4, seed=0)


def check(folder: Path, anchors: AnchorSet | None = None) -> Checked:
    return check_own(folder, anchors, lambda doing, done, total: None)


def write_rows(folder: Path, *rows: str, head: str = HEAD) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "labs.csv").write_text("\n".join([head, *rows]) + "\n")
    (folder / "dataset.toml").write_text(LABS)
    return folder


def test_a_row_is_a_sample_of_all_columns_that_do_not_tell_of_it(tmp_path: Path) -> None:
    write_rows(tmp_path, "b,40,A,140,ill", "a,,B,,well", "c,,,,ill")
    (a, first), (b, second) = sorted(read_entries(tmp_path, SOURCE, entries_of(tmp_path, SOURCE)), key=lambda one: one[0].id)
    assert [(e.id, e.label, e.place) for e in (a, b)] == [("a", "well", "labs.csv, row 2"), ("b", "ill", "labs.csv, row 1")]
    assert first == {"age": None, "ward": "B", "sodium": None}
    assert second == {"age": "40", "ward": "A", "sodium": "140"}


def test_json_lines_are_read_as_csv_is(tmp_path: Path) -> None:
    lines = [{"id": 1, "age": 40.5, "ward": "A"}, {"id": 2, "age": None, "ward": "B"}]
    (tmp_path / "labs.jsonl").write_text("\n".join(map(json.dumps, lines)))
    source = SOURCE.model_copy(update={"table": "labs.jsonl"})
    read = {entry.id: row for entry, row in read_entries(tmp_path, source, entries_of(tmp_path, source))}
    assert read == {"1": {"age": "40.5", "ward": "A"}, "2": {"age": None, "ward": "B"}}


def test_anchors_find_out_which_columns_there_are_and_which_hold_names(tmp_path: Path) -> None:
    anchors = anchors_of(write_labs(tmp_path / "public"))
    assert anchors.encoders == {"labs": "table:age+ward*+sodium"}
    assert anchors.of("labs").x.shape == (12, 3, 2)
    named = build_anchors({"labs": public_folder(tmp_path / "public", "labs")}, {"labs": "table:ward*"}, (), 4, seed=0)
    assert named.of("labs").x.shape == (12, 1, 2)


def test_columns_of_other_names_are_those_of_the_anchors(tmp_path: Path) -> None:
    anchors = anchors_of(write_labs(tmp_path / "public", seed=1))
    ward = write_rows(tmp_path / "ward", *(f"{n},{c},{140 + n},B" for n in range(9) for c in CONCEPTS), head="x,label,Na,where")
    config = with_encoders(parse_config({"suite": "own"}), anchors)
    (ward / "dataset.toml").write_text(LABS + 'columns = {Na = "sodium", where = "ward"}\n')
    x_NK2 = load_own(ward, config, anchors, tmp_path / "kept").train["labs"].x
    assert x_NK2[:, :, 1].unique(dim=0).tolist() == [[0, 1, 1]]
    told = {problem.message for problem in check(ward, anchors).problems if problem.what == "columns"}
    assert told == {
        "1 columns are in the anchors, and not here: age",
        "1 columns are not in the anchors, and are not looked at: x",
    }


def test_a_row_is_the_same_in_any_order_of_columns_and_another_when_a_column_is_called_otherwise(tmp_path: Path) -> None:
    write_rows(tmp_path / "a", "x,40,A,,2")
    write_rows(tmp_path / "b", "2,A,40,x", head="label,ward,age,id")
    (one,), (same,) = (entries_of(tmp_path / name, SOURCE) for name in "ab")
    (renamed,) = entries_of(tmp_path / "b", SOURCE.model_copy(update={"columns": {"age": "years"}}))
    assert one.stamp == same.stamp != renamed.stamp


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (LABS.replace('table = "labs.csv"', 'files = "*"'), "rows are in a table"),
        (LABS.replace('"table"', '"text"', 1) + 'columns = {a = "b"}\n', "columns are for samples of kind table"),
    ],
)
def test_tables_that_make_no_sense_are_told(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "dataset.toml").write_text(text)
    with pytest.raises(ConcordError, match=f"C205.*{why}"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    ("head", "columns", "why"),
    [
        (HEAD, '{Na = "sodium"}', "no column of values is called Na"),
        (HEAD, '{age = "sodium"}', "two columns have one name"),
        ("id,label", "{}", "no column holds values"),
    ],
)
def test_columns_that_are_not_there_or_twice_are_told(tmp_path: Path, head: str, columns: str, why: str) -> None:
    write_rows(tmp_path, head=head)
    (tmp_path / "dataset.toml").write_text(f"{LABS}columns = {columns}\n")
    told = check(tmp_path).problems
    assert [problem.severity for problem in told] == ["error"]
    assert why in told[0].message


def test_cells_that_are_no_numbers_are_errors_beside_anchors_and_a_note_without(tmp_path: Path) -> None:
    anchors = anchors_of(write_labs(tmp_path / "public", seed=1))
    ward = write_rows(tmp_path / "ward", *(f"{c}{n},{30 + n},A,1,{c}" for n in range(9) for c in CONCEPTS), "x,old,A,1,2")
    (told,) = (problem for problem in check(ward, anchors).problems if problem.severity == "error")
    assert (Path(told.place).name, told.message) == ("labs.csv, row 28", "age: 'old' is no number")
    (noted,) = (problem for problem in check(ward).problems if problem.what == "mixed column")
    assert noted.message == "age: 27 cells are numbers, 1 are not, as 'old'"
    with pytest.raises(ConcordError, match=r"C206.*'old' is no number"):
        load_own(ward, with_encoders(parse_config({"suite": "own"}), anchors), anchors, tmp_path / "kept")


def test_samples_of_another_kind_than_the_anchors_are_an_error(tmp_path: Path) -> None:
    anchors = anchors_of(write_labs(tmp_path / "public"))
    write_pictures(tmp_path / "school", 4)
    (tmp_path / "school" / "dataset.toml").write_text('[modality.labs]\nkind = "image"\nfiles = "{label}/*"\n')
    (told,) = (problem for problem in check(tmp_path / "school", anchors).problems if problem.severity == "error")
    assert told.message == "labs is image, the anchors are table"


def test_two_rows_of_the_same_values_are_a_note_whatever_their_labels(tmp_path: Path) -> None:
    write_rows(tmp_path, "a,40,A,1,2", "b,40,A,1,30")
    assert [(p.severity, p.what) for p in check(tmp_path).problems] == [("note", "duplicate")]


def test_a_node_of_rows_learns_beside_one_of_pictures_and_the_model_judges_new_rows(tmp_path: Path) -> None:
    places = {"labs": write_labs(tmp_path / "p/labs", 4, seed=1), "sign": write_pictures(tmp_path / "p/sign", 4, seed=2)}
    anchors = build_anchors({m: public_folder(place, m) for m, place in places.items()}, {}, (), 4, seed=0)
    save_anchors(anchors, tmp_path / "anchors")
    write_labs(tmp_path / "data/ward", 30)
    write_pictures(tmp_path / "data/school")
    own = {"suite": "own", "data": str(tmp_path / "data"), "anchors": str(tmp_path / "anchors")}
    config = with_encoders(parse_config({**TINY, **own, "local-steps": 20, "run-folder": str(tmp_path / "run")}), anchors)
    assert config.encoder_names == {"sign": "image", "labs": "table:age+ward*+sodium"}
    open_run(config, InProcessGrid(app, config.flat(), 2)).rounds()
    result = load_result(tmp_path / "run")
    assert result.rejections == []
    assert result.accuracy["random"]["labs"].accuracy > 0.6  # a third by chance
    model = load_model(tmp_path / "run")
    there = of_suite(model, "sign", "random", None)
    assert {name.partition("/")[0] for name in there.names} == {"school"}
    assert set(there.classes) <= set(CONCEPTS)
    asked = gather(model, "labs", [write_rows(tmp_path / "new", "y,22,a,,", "x,71,C,141,") / "labs.csv"])
    assert asked.names == ["y", "x"]
    assert model.classify({"labs": asked.given}).shape == (2, 3)
    one, same = (model.embed("labs", rows) for rows in (asked.given[1:], [{"age": 71, "ward": "c", "sodium": 141.0}]))
    assert torch.equal(one, same)
