"""`concord data check` on the packs of pairs: each planted fault is found, and a broken file is not read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from client_app.data.check import check_suite
from client_app.data.federation import build_federation
from client_app.data.packs import ArrayFile
from client_app.data.readers.activity import ACCELEROMETER, DSADS, GYROSCOPE, MAGNETOMETER
from client_app.data.readers.strokes import OMNIGLOT, STROKE_IMAGE, STROKE_PATH
from concord.errors import ConcordError

Arrays = dict[str, NDArray[Any]]
FILES = {"activity": DSADS, "strokes": OMNIGLOT}


def tiny(suite: str) -> Arrays:
    """A sound file with two windows, or two drawings."""
    if suite == "activity":
        return {
            "x": np.zeros((2, 125, 5, 3, 3), np.int16),
            "scale": np.full(3, 0.001, np.float32),
            "activity": np.array([1, 19], np.uint8),
            "subject": np.array([1, 8], np.uint8),
            "segment": np.array([1, 57], np.uint8),
            "units": np.array(["torso", "right_arm", "left_arm", "right_leg", "left_leg"]),
            "sensors": np.array(["acc", "gyro", "mag"]),
        }
    alphabets = "Balinese Early_Aramaic Greek Japanese_(katakana) Korean Latin Sanskrit Tagalog"
    return {
        "image": np.zeros((2, 52, 7), np.uint8),
        "points": np.ones((5, 2), np.uint8),
        "stroke": np.zeros(5, np.uint8),
        "offset": np.array([0, 2, 5], np.int32),
        "char": np.array([0, 241], np.uint16),
        "drawer": np.array([1, 20], np.uint8),
        "alphabets": np.array(alphabets.split()),
    }


def problems(file: ArrayFile, arrays: Arrays, folder: Path) -> list[str]:
    path = folder / file.path
    path.parent.mkdir(exist_ok=True)
    np.savez(path, **arrays)
    return list(file.problems(path))


@pytest.mark.parametrize(("suite", "folder"), [("activity", "dsads"), ("strokes", "omniglot")])
def test_published_packs_have_no_findings(suite: str, folder: str, request: pytest.FixtureRequest) -> None:
    assert check_suite(suite, request.getfixturevalue(folder)) == []


@pytest.mark.parametrize("suite", FILES)
def test_a_sound_file_that_is_not_the_published_one_is_noted(suite: str, tmp_path: Path) -> None:
    assert problems(FILES[suite], tiny(suite), tmp_path) == []
    (finding,) = check_suite(suite, tmp_path)
    assert finding.severity == "note"
    with pytest.raises(ConcordError, match=r"C203.*has no training sample"):
        build_federation(suite, tmp_path, 0, "labelled")


@pytest.mark.parametrize(
    ("suite", "fault", "message"),
    [
        ("activity", lambda a: a.pop("scale"), "no array 'scale'"),
        ("activity", lambda a: a.update(scale=a["scale"] * np.nan), "'scale' has values nan..nan, outside 0..1"),
        ("activity", lambda a: a.update(scale=-a["scale"]), "outside 0..1"),
        ("activity", lambda a: a.update(scale=np.ones(3, np.int64)), "dtype int64, not real"),
        ("activity", lambda a: a.update(x=a["x"].astype(np.float32)), "dtype float32, not integer"),
        ("activity", lambda a: a.update(x=a["x"][:, :100]), "100 where 125 = 125"),
        ("activity", lambda a: a.update(subject=a["subject"][:1]), "1 where N = 2"),
        ("activity", lambda a: a.update(activity=a["activity"] - 1), "'activity' has values 0..18, outside 1..19"),
        ("activity", lambda a: a.update(sensors=a["sensors"][[1, 0, 2]]), "'sensors' is ['gyro', 'acc', 'mag'], not"),
        ("activity", lambda a: a.update(units=a["units"][::-1]), "'units' is ['left_leg'"),
        ("strokes", lambda a: a.update(image=a["image"][:, :, :6]), "6 where 7 = 7"),
        ("strokes", lambda a: a.update(stroke=a["stroke"][:4]), "4 where T = 5"),
        ("strokes", lambda a: a.update(offset=np.array([0, 0, 5])), "'offset' must rise from 0"),
        ("strokes", lambda a: a.update(char=a["char"] + 1), "'char' has values 1..242, outside 0..241"),
        ("strokes", lambda a: a.update(drawer=a["drawer"] * 0), "outside 1..20"),
        ("strokes", lambda a: a.update(alphabets=a["alphabets"][::-1]), "'alphabets' is ['Tagalog'"),
    ],
)
def test_a_planted_fault_is_found_and_the_file_is_not_read(
    suite: str, fault: Callable[[Arrays], object], message: str, tmp_path: Path
) -> None:
    fault(arrays := tiny(suite))
    (problem,) = problems(FILES[suite], arrays, tmp_path)
    assert message in problem
    assert [finding.severity for finding in check_suite(suite, tmp_path)] == ["error"]
    with pytest.raises(ConcordError, match="C202"):
        build_federation(suite, tmp_path, 0, "labelled")


@pytest.mark.parametrize("suite", FILES)
def test_a_truncated_file_is_found(suite: str, tmp_path: Path) -> None:
    assert problems(FILES[suite], tiny(suite), tmp_path) == []
    path = tmp_path / FILES[suite].path
    path.write_bytes(path.read_bytes()[:500])
    assert "truncated" in check_suite(suite, tmp_path)[0].message


def test_signals_are_in_physical_units_unit_by_unit(tmp_path: Path) -> None:
    arrays = tiny("activity")
    arrays["x"][0, :, 1, 0] = [9807, 0, -9807]  # the right arm's accelerometer
    arrays["x"][0, 7, 4, 1, 2] = 2000  # the left leg's gyroscope
    assert problems(DSADS, arrays, tmp_path) == []
    accelerometer, gyroscope, magnetometer = (reader.build(tmp_path) for reader in (ACCELEROMETER, GYROSCOPE, MAGNETOMETER))
    assert accelerometer.samples.x[0, 0].tolist() == pytest.approx([0, 0, 0, 1, 0, -1] + [0] * 9, abs=1e-4)
    assert gyroscope.samples.x[0, 7].tolist() == pytest.approx([0] * 14 + [2])
    assert not magnetometer.samples.x.any()
    assert accelerometer.samples.ids == magnetometer.samples.ids == ("activity/a01-p1-s01", "activity/a19-p8-s57")
    assert accelerometer.samples.y.tolist() == [0, 18]
    assert accelerometer.owners == ("subject-1", "subject-8")


def test_drawings_are_shrunk_and_their_paths_point_up(tmp_path: Path) -> None:
    arrays = tiny("strokes")
    arrays["image"][0, 0, 0] = 0b11100000
    arrays["image"][0, 1, 0] = 0b11000000
    arrays["points"][:2] = [[10, 10], [10, 20]]  # down, as rows of an image go
    assert problems(OMNIGLOT, arrays, tmp_path) == []
    images, paths = STROKE_IMAGE.build(tmp_path), STROKE_PATH.build(tmp_path)
    assert images.samples.x.shape == (2, 26, 26)
    assert images.samples.x[0, 0, :3].tolist() == [1, 0.25, 0]
    assert images.samples.x[0].sum() == 1.25
    assert paths.samples.x[0, [0, -1]].tolist() == [[0, 1, 1], [0, -1, 1]]
    assert images.samples.ids == paths.samples.ids == ("strokes/c000-d01", "strokes/c241-d20")
    assert images.owners == ("drawer-01", "drawer-20")
