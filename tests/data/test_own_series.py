"""Series in the long form: a row a time, a column a channel, told apart by their ids."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from own_data import CONCEPTS, write_pictures
from tiny_run import TINY

from client_app.app import app
from client_app.data.own.anchors import build_anchors, public_folder
from client_app.data.own.check import Checked, check_own
from client_app.data.own.entry import Entry
from client_app.data.own.index import entries_of, read_entries
from client_app.data.own.layout import Source, read_dataset
from client_app.data.own.node import load_own
from client_app.data.preparation.raw import Series
from concord.anchors import AnchorSet, save_anchors
from concord.config import parse_config
from concord.errors import ConcordError
from concord.own import with_encoders
from server_app.in_process import InProcessGrid
from server_app.results import load_result
from server_app.run import open_run

SOURCE = Source(kind="series", table="vitals.csv", channels=["pulse", "spo2"])
VITALS = '[modality.vitals]\nkind = "series"\ntable = "vitals.csv"\nchannels = ["pulse", "spo2"]\n'
HEAD = "id,time,pulse,spo2,label"


def write_vitals(folder: Path, each: int = 12, seed: int = 0) -> Path:
    """Stays of another pulse a concept, the rows of all of them mixed."""
    rng = np.random.default_rng(seed)
    rows = []
    for number, concept in enumerate(CONCEPTS):
        for stay in range(each):
            for minute in range(rng.integers(20, 40)):
                pulse, spo2 = 60 + 25 * number + 5 * np.sin(minute) + rng.normal(), 97 - 2 * rng.random()
                rows.append(f"{concept}-{stay},{minute},{pulse:.2f},{'' if minute % 7 == 1 else f'{spo2:.2f}'},{concept}")
    rng.shuffle(rows)
    folder.mkdir(parents=True)
    (folder / "vitals.csv").write_text("\n".join([HEAD, *rows]) + "\n")
    (folder / "dataset.toml").write_text(VITALS)
    return folder


def read_rows(folder: Path, *rows: str) -> list[tuple[Entry, Series]]:
    (folder / "vitals.csv").write_text("\n".join([HEAD, *rows]) + "\n")
    return list(read_entries(folder, SOURCE, entries_of(folder, SOURCE)))


def check(folder: Path, anchors: AnchorSet | None = None) -> Checked:
    return check_own(folder, anchors, lambda doing, done, total: None)


def test_rows_of_one_id_are_one_series_in_the_order_of_time(tmp_path: Path) -> None:
    (a, a_TK), (b, b_TK) = read_rows(tmp_path, "b,0,7,1,ill", "a,10,3,30,well", "a,9,2,20,", "b,1,8,2,", "a,8,1,10,")
    assert [(e.id, e.label, e.place) for e in (a, b)] == [("a", "well", "vitals.csv, row 2"), ("b", "ill", "vitals.csv, row 1")]
    assert a_TK.tolist() == [[1, 10], [2, 20], [3, 30]]
    assert b_TK.tolist() == [[7, 1], [8, 2]]
    assert a_TK.dtype == np.float32


def test_gaps_and_uneven_times_are_filled_along_the_line(tmp_path: Path) -> None:
    ((_, series_TK),) = read_rows(tmp_path, "a,0,0,5,", "a,1,1,,", "a,2,nan,,", "a,10,10,15,", "a,40,40,15,")
    np.testing.assert_allclose(series_TK, [[0, 5], [10, 15], [20, 15], [30, 15], [40, 15]])


def test_times_are_numbers_or_dates_in_every_format_of_a_table(tmp_path: Path) -> None:
    by_date = read_rows(tmp_path, "a,2026-03-01T10:02:00+00:00,3,1,", "a,2026-03-01 10:00,1,1,", "a,2026-03-01T11:01+01:00,2,1,")
    assert by_date[0][1][:, 0].tolist() == [1, 2, 3]
    columns = {"id": [5, 5], "time": [datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)]}
    pq.write_table(pa.table({**columns, "pulse": [61, 60], "spo2": [None, 0.5]}), tmp_path / "v.parquet")
    source = SOURCE.model_copy(update={"table": "v.parquet"})
    ((entry, series_TK),) = read_entries(tmp_path, source, entries_of(tmp_path, source))
    assert (entry.id, series_TK.tolist()) == ("5", [[60, 0.5], [61, 0.5]])


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (["a,0,1,1,", "a,0,2,2,"], "row 1: two rows have the same time"),
        (["a,0,1,1,", "a,1,high,2,"], "row 2: .*'high'"),
        (["a,0,1,1,", "a,,2,2,"], "row 2: there is no time"),
        (["a,inf,1,1,"], "row 1: time 'inf'"),
        (["a,1e300,1,1,"], "row 1: time '1e300'"),
        (["a,noon,1,1,"], "row 1: .*'noon'"),
        (["a,0,1,,", "a,1,1,,"], "row 1: there is no value of spo2"),
        (["a,0,1e300,1,"], "row 1: 1e300 is too large"),
    ],
)
def test_a_series_that_cannot_be_read_is_told_at_its_row_and_the_others_are_checked(
    tmp_path: Path, rows: list[str], why: str
) -> None:
    with pytest.raises(ConcordError, match=f"C206.*{why}"):
        read_rows(tmp_path, *rows)
    read_rows(tmp_path, "good,0,1,1,2")
    with (tmp_path / "vitals.csv").open("a") as table:
        table.write("\n".join([*rows, "bad,0,?,1,"]) + "\n")
    (tmp_path / "dataset.toml").write_text(VITALS)
    assert [p.what for p in check(tmp_path).problems if p.severity == "error"] == ["unreadable", "unreadable"]


@pytest.mark.parametrize(("rows", "why"), [([",0,1,1,"], "no id"), (["a,0,1,1,x", "a,1,1,1,y"], "label 'y'.*had 'x'")])
def test_rows_that_tell_no_series_are_refused(tmp_path: Path, rows: list[str], why: str) -> None:
    with pytest.raises(ConcordError, match=f"C205.*{why}"):
        read_rows(tmp_path, *rows)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (VITALS.replace('"series"', '"text"'), "channels are for series"),
        (VITALS.replace('table = "vitals.csv"', 'files = "*"'), "channels are for series"),
        (VITALS.replace("spo2", "pulse"), "one name"),
    ],
)
def test_channels_that_make_no_sense_are_told(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "dataset.toml").write_text(text)
    with pytest.raises(ConcordError, match=f"C205.*{why}"):
        read_dataset(tmp_path)


def test_a_change_of_one_value_changes_the_key_of_its_series_alone(tmp_path: Path) -> None:
    before = read_rows(tmp_path, "a,0,1,1,", "b,0,1,1,", "a,1,2,2,")
    after = read_rows(tmp_path, "a,0,1,1,", "b,0,1,1,", "a,1,2,3,")
    assert [one.key == other.key for (one, _), (other, _) in zip(before, after, strict=True)] == [False, True]


def test_series_of_other_channels_than_the_anchors_are_told(tmp_path: Path) -> None:
    public = write_vitals(tmp_path / "public", 3, seed=1)
    anchors = build_anchors({"vitals": public_folder(public, "vitals")}, {}, (), 3, seed=0)
    ward = write_vitals(tmp_path / "ward")
    assert check(ward, anchors) == Checked("ward", {"vitals": 36}, {"vitals": 3}, ())
    (ward / "dataset.toml").write_text(VITALS.replace(', "spo2"', ""))
    assert {p.message for p in check(ward, anchors).problems} == {"number of channels: 1, not 2"}
    with pytest.raises(ConcordError, match=r"C206.*channels of a series: 1, the encoder takes 2"):
        load_own(ward, with_encoders(parse_config({"suite": "own"}), anchors), anchors, tmp_path / "kept")
    (ward / "vitals.csv").unlink()
    (ward / "dataset.toml").unlink()
    for name, shape in (("a", 9), ("b", (9, 1)), ("c", (9, 3))):
        np.save(ward / f"{name}.npy", np.arange(np.prod(shape)).reshape(shape))
    told = [(Path(p.place).name, p.message) for p in check(ward).problems if p.what == "channels"]
    assert told == [("c.npy", "number of channels: 3, not 1")]


def test_a_node_of_series_learns_beside_one_of_pictures(tmp_path: Path) -> None:
    places = {"vitals": write_vitals(tmp_path / "p/vitals", 4, seed=1), "sign": write_pictures(tmp_path / "p/sign", 4, seed=2)}
    anchors = build_anchors({m: public_folder(place, m) for m, place in places.items()}, {}, (), 4, seed=0)
    save_anchors(anchors, tmp_path / "anchors")
    write_vitals(tmp_path / "data/ward")
    write_pictures(tmp_path / "data/school")
    own = {"suite": "own", "data": str(tmp_path / "data"), "anchors": str(tmp_path / "anchors")}
    config = with_encoders(parse_config({**TINY, **own, "run-folder": str(tmp_path / "run")}), anchors)
    assert config.encoder_names == {"sign": "image", "vitals": "series:2"}
    open_run(config, InProcessGrid(app, config.flat(), 2)).rounds()
    result = load_result(tmp_path / "run")
    assert result.rejections == []
    assert sorted((node.name, node.modalities) for node in result.nodes) == [("school", ["sign"]), ("ward", ["vitals"])]
    assert result.accuracy["random"].keys() == {"sign", "vitals"}
