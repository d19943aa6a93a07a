"""`concord data check` on copies of the packs, each with one planted fault; and the errors of reading a broken file."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from client_app.data.check import check_suite, list_suites
from client_app.data.federation import build_federation
from concord.errors import ConcordError
from concord.graphs import GRAPHS

Fault = Callable[[dict[str, NDArray[Any]]], object]


@pytest.fixture
def copy(packs: Path, tmp_path: Path) -> Path:
    """A data folder of links to the packs, in which single files can be replaced."""
    (tmp_path / "digits").mkdir()
    for file in (packs / "digits").iterdir():
        (tmp_path / "digits" / file.name).symlink_to(file.resolve())
    return tmp_path


def replace_content(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def plant(path: Path, fault: Fault) -> None:
    with np.load(path, allow_pickle=False) as archive:
        arrays = dict(archive)
    fault(arrays)
    path.unlink()
    np.savez(path, **arrays)


def only_finding(data: Path, file: str, severity: str = "error") -> str:
    """The message of the one finding, which must be about `file`."""
    (finding,) = check_suite("digits", data)
    assert finding.path == data / "digits" / file
    assert finding.severity == severity
    assert finding.hint
    return finding.message


def test_published_packs_have_no_findings(packs: Path) -> None:
    assert check_suite("digits", packs) == []


def test_a_suite_that_comes_with_dependencies_needs_nothing(tmp_path: Path) -> None:
    assert check_suite("demo", tmp_path) == []


def test_every_missing_file_is_named_with_where_to_get_it(tmp_path: Path) -> None:
    findings = check_suite("digits", tmp_path)
    assert {finding.path.name for finding in findings} == {
        "fsdd.npz",
        "mnist_t10k.npz",
        "semeion.npz",
        "pendigits.npz",
        "sign_digits64.npz",
        "digit_words.tsv",
    }
    assert "Jakobovski/free-spoken-digit-dataset" in findings[0].hint


def test_an_unknown_suite_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConcordError, match="C204"):
        check_suite("tigits", tmp_path)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda a: a.pop("label"), "no array 'label'"),
        (lambda a: a.update(label=a["label"] + 1), "'label' has values 1..10, outside 0..9"),
        (lambda a: a.update(label=a["label"][:-3]), "1590 where N = 1593"),
        (lambda a: a.update(image=a["image"][:, :, :8]), "8 where 16 = 16"),
        (lambda a: a.update(image=a["image"].reshape(-1, 256)), r"shape \[1593, 256\], not \[N, 16, 16\]"),
        (lambda a: a.update(image=a["image"].astype(np.float32)), "dtype float32, not integer"),
    ],
)
def test_a_planted_fault_in_an_archive_is_found(copy: Path, fault: Fault, message: str) -> None:
    plant(copy / "digits" / "semeion.npz", fault)
    assert re.search(message, only_finding(copy, "semeion.npz"))
    with pytest.raises(ConcordError, match=f"C202.*{message}"):
        build_federation("digits", copy, 0, "labelled")


def test_offsets_must_cut_the_whole_array(copy: Path) -> None:
    plant(copy / "digits" / "pendigits.npz", lambda a: a.update(points=a["points"][:-5]))
    assert "'offset' must rise from 0 to the length of 'points'" in only_finding(copy, "pendigits.npz")


def test_a_truncated_archive_is_found(copy: Path) -> None:
    path = copy / "digits" / "fsdd.npz"
    replace_content(path, path.read_bytes()[:100_000])
    assert "truncated" in only_finding(copy, "fsdd.npz")
    assert "100,000 bytes; the published file has 15,428,992" in only_finding(copy, "fsdd.npz")


def test_pickled_arrays_are_refused(copy: Path) -> None:
    plant(copy / "digits" / "semeion.npz", lambda a: a.update(label=np.array([{}] * 1593, dtype=object)))
    assert "cannot be read" in only_finding(copy, "semeion.npz")


def test_something_else_than_an_archive_is_found(copy: Path) -> None:
    replace_content(copy / "digits" / "semeion.npz", b"<html>not found</html>")
    assert "cannot be read" in only_finding(copy, "semeion.npz")


def test_a_single_array_is_not_an_archive(copy: Path) -> None:
    path = copy / "digits" / "semeion.npz"
    path.unlink()
    with path.open("wb") as stream:
        np.save(stream, np.zeros(3))
    assert "single array" in only_finding(copy, "semeion.npz")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("digit\tword", "number\tword", "the header is"),
        ("3\tdrie\taf", "13\tdrie\taf", "line 5: digit is '13', outside 0..9"),
        ("3\tdrie\taf", "3\tdrie", "line 5 has 4 columns, not 5"),
    ],
)
def test_a_planted_fault_in_a_table_is_found(copy: Path, old: str, new: str, message: str) -> None:
    path = copy / "digits" / "digit_words.tsv"
    replace_content(path, path.read_text(encoding="utf-8").replace(old, new, 1).encode())
    assert message in only_finding(copy, "digit_words.tsv")


@pytest.mark.parametrize(("kept", "message"), [(0, "the header is"), (1000, "truncated"), (33, "no line below the header")])
def test_a_truncated_table_is_found(copy: Path, kept: int, message: str) -> None:
    path = copy / "digits" / "digit_words.tsv"
    replace_content(path, path.read_bytes()[:kept])
    assert message in only_finding(copy, "digit_words.tsv")


def test_a_table_in_another_encoding_is_found(copy: Path) -> None:
    path = copy / "digits" / "digit_words.tsv"
    replace_content(path, path.read_text(encoding="utf-8").encode("utf-16"))
    assert "cannot be read as UTF-8" in only_finding(copy, "digit_words.tsv")


def test_a_sound_file_with_other_content_is_noted(copy: Path) -> None:
    plant(copy / "digits" / "semeion.npz", lambda a: a.update(image=1 - a["image"]))
    assert "not the file that the published figures come from" in only_finding(copy, "semeion.npz", "note")


def test_suites_are_listed() -> None:
    rows = {row.name: row for row in list_suites()}
    agents = ["activity-agents", "activity-agents-three", "activity-agents-validation"]
    assert list(rows) == [
        "demo",
        "digits",
        "activity",
        "activity-validation",
        *agents,
        "strokes",
        "emoji",
        *GRAPHS,
        "own",
        "own-graph",
    ]
    assert rows["demo"].data == "none"
    assert "digits/fsdd.npz" in rows["digits"].data
