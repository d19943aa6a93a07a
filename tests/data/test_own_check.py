"""`concord data check FOLDER`: each planted fault is told once, at its place, and a sound folder has none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import soundfile
from command_line import caller
from own_data import SPEECH, write_pictures, write_sounds

from client_app.data.own.anchors import build_anchors, public_folder
from client_app.data.own.check import Checked, check_own, folders_to_check
from concord.anchors import AnchorSet, save_anchors


@pytest.fixture(scope="module")
def anchors(tmp_path_factory: pytest.TempPathFactory) -> AnchorSet:
    folder = tmp_path_factory.mktemp("public")
    places = {"speech": write_sounds(folder / "speech", ("dan",), seed=5), "sign": write_pictures(folder / "sign", 4, seed=6)}
    return build_anchors({m: public_folder(place, m) for m, place in places.items()}, {}, (), 4, seed=0)


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    return write_sounds(tmp_path / "clinic")


def check(folder: Path, anchors: AnchorSet | None = None, *, deep: bool = False) -> Checked:
    return check_own(folder, anchors, lambda doing, done, total: None, deep=deep)


def told(checked: Checked) -> list[tuple[str, str, str]]:
    return [(problem.severity, problem.what, Path(problem.place).name) for problem in checked.problems]


def test_a_sound_folder_has_no_problems(clinic: Path, tmp_path: Path, anchors: AnchorSet) -> None:
    assert check(clinic, anchors, deep=True) == Checked("clinic", {"speech": 54}, {"speech": 3}, ())
    school = check(write_pictures(tmp_path / "school"), anchors)
    assert (school.samples, school.labels, school.problems) == ({"sign": 36}, {"sign": 3}, ())


def test_every_fault_is_told_at_its_place(clinic: Path, anchors: AnchorSet) -> None:
    sounds = sorted(clinic.glob("*.wav"))
    sounds[0].write_bytes(b"")
    sounds[1].write_bytes(b"RIFF....")
    soundfile.write(sounds[2], soundfile.read(sounds[2])[0], 16_000)
    shutil.copy(sounds[3], clinic / "10_eve_1.wav")
    shutil.copy(sounds[3], clinic / "30_eve_1.wav")
    shutil.copy(sounds[4], clinic / "zehn_eve_1.wav")
    (clinic / "readme.md").write_text("about")
    assert sorted(told(check(clinic, anchors))) == sorted(
        [
            ("error", "unreadable", sounds[0].name),
            ("error", "unreadable", sounds[1].name),
            ("note", "rate", sounds[2].name),
            ("note", "duplicate", "10_eve_1.wav" if sounds[3].name < "10_eve_1.wav" else sounds[3].name),
            ("error", "duplicate", "30_eve_1.wav"),
            ("error", "label", "zehn_eve_1.wav"),
            ("error", "duplicate", "zehn_eve_1.wav"),
            ("note", "left out", "clinic"),
        ]
    )
    (clinic / "dataset.toml").write_text(SPEECH + "rate = 8000\n")
    assert ("error", "rate", sounds[2].name) in told(check(clinic, anchors))


def test_a_sample_that_is_an_anchor_is_an_error_wherever_it_lies(clinic: Path, tmp_path: Path, anchors: AnchorSet) -> None:
    write_sounds(tmp_path / "copied", ("dan",), seed=5)
    copy = tmp_path / "copied" / anchors.of("speech").ids[0]
    copy.rename(clinic / "2_fay_9.wav")
    (problem,) = check(clinic, anchors).problems
    assert (problem.severity, problem.what, Path(problem.place).name) == ("error", "anchor", "2_fay_9.wav")
    assert anchors.of("speech").ids[0] in problem.message


def test_a_picture_that_breaks_off_is_found_by_decoding_it(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "school")
    path = folder / "10/3.png"
    path.write_bytes(path.read_bytes()[:-200])
    assert check(folder).problems == ()
    assert told(check(folder, deep=True)) == [("error", "unreadable", "3.png")]


def test_ids_splits_and_missing_files_of_a_table_are_told(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "school")
    rows = ["a,2/0.png,2,train", "a,2/1.png,2,train", "b,2/9999.png,2,train", "c,2/3.png,2,tset", "d,2/4.png,,test"]
    (folder / "manifest.csv").write_text("\n".join(["id,path,label,split", *rows]) + "\n")
    assert sorted(told(check(folder))) == [
        ("error", "id", "1.png"),
        ("error", "split", "3.png"),
        ("error", "unreadable", "9999.png"),
        ("note", "left out", "school"),
        ("note", "unlabelled", "school"),
    ]


def test_a_folder_that_cannot_be_understood_is_an_error(tmp_path: Path, anchors: AnchorSet) -> None:
    assert told(check(tmp_path)) == [("error", "folder", tmp_path.name)]
    (tmp_path / "dataset.toml").write_text(SPEECH.replace("speech", "talk"))
    assert told(check(tmp_path, anchors)) == [("error", "folder", tmp_path.name)]


def test_folders_below_are_checked_where_one_is_described(clinic: Path, tmp_path: Path) -> None:
    assert folders_to_check(clinic) == [clinic]
    school = write_pictures(tmp_path / "school")
    assert folders_to_check(school) == [school]
    assert folders_to_check(tmp_path) == [clinic, school]


def test_the_command_tells_all_and_exits_1_for_an_error(
    clinic: Path, tmp_path: Path, anchors: AnchorSet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_anchors(anchors, tmp_path.parent / "anchors-of-check")
    concord = caller(monkeypatch, capsys, columns=80)
    command = ("data", "check", str(tmp_path), "--anchors", str(tmp_path.parent / "anchors-of-check"))
    status, out, _ = concord(*command)
    assert (status, out) == (0, "clinic: 54 speech of 3 labels; 0 errors, 0 notes\n")
    for number in range(12):
        (clinic / f"2_gus_{number}.wav").write_bytes(b"RIFF" * (number + 1))
    status, out, _ = concord(*command)
    assert status == 1
    assert "error unreadable: 12" in out
    assert "and 2 more" in out
    assert "clinic: 66 speech of 3 labels; 12 errors, 0 notes" in out
    status, out, _ = concord(*command, "--json")
    assert status == 1
    problems = [json.loads(line) for line in out.splitlines()]
    assert [problem["what"] for problem in problems] == ["unreadable"] * 12
    assert set(problems[0]) == {"place", "severity", "what", "message", "hint"}
