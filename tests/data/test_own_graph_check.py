"""`concord data check` of a folder of a graph: each fault is told once, at its place, and what may be meant is counted."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from command_line import caller
from hypothesis import given, settings
from hypothesis import strategies as st
from own_graph import GRAPH, LABELS, WIDTHS

from client_app.data.own.check import Checked
from client_app.data.own_graph.check import check_graph
from concord.anchors import AnchorSet, anchors_of_graph, save_anchors

ANCHORS = anchors_of_graph(LABELS, WIDTHS)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Six papers, each with all there is, in a ring."""
    rows = [f"p{n},{LABELS[n % 3]},{n},{n}" for n in range(6)]
    return write(tmp_path / "library", rows, [f"p{n},p{(n + 1) % 6}" for n in range(6)])


def write(folder: Path, papers: list[str], citations: list[str]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "dataset.toml").write_text(GRAPH)
    (folder / "papers.csv").write_text("\n".join(["id,label,year,pages", *papers]) + "\n")
    (folder / "citations.csv").write_text("\n".join(["source,target", *citations]) + "\n")
    np.save(folder / "abstracts.npy", np.eye(len(papers), 6))
    return folder


def told(checked: Checked) -> list[tuple[str, str, str]]:
    return sorted((problem.severity, problem.what, Path(problem.place).name) for problem in checked.problems)


def test_a_sound_folder_has_no_problems(library: Path) -> None:
    assert check_graph(library, ANCHORS) == Checked("library", {"numbers": 6, "text": 6}, {"numbers": 3, "text": 3}, ())


def test_every_fault_is_told_at_its_place(library: Path) -> None:
    papers = ["p0,2,0,0", "p0,2,1,1", ",10,2,2", "p3,eleven,3,3", "p4,30,4,x", "p5,30,5,", "p6,,,", "p7,30,7,7"]
    write(library, papers, ["p0,p3", "p3,p0", "p3,p4", "p4,p4", "p5,p99", ",p6"])
    text_NF = np.eye(9, 6)
    np.save(library / "abstracts.npy", text_NF)
    rows = ("error", "rows", "abstracts.npy")
    faults = [
        ("error", "edge", "citations.csv, row 5"),
        ("error", "edge", "citations.csv, row 6"),
        ("error", "features", "papers.csv, row 5"),
        ("error", "features", "papers.csv, row 6"),
        ("error", "id", "papers.csv, row 2"),
        ("error", "id", "papers.csv, row 3"),
        ("error", "label", "papers.csv, row 4"),
        ("note", "bare", "papers.csv"),
        ("note", "duplicate", "citations.csv"),
        ("note", "isolated", "papers.csv"),
        ("note", "loop", "citations.csv"),
        ("note", "unlabelled", "papers.csv"),
    ]
    checked = check_graph(library, ANCHORS)
    assert told(checked) == sorted([*faults, rows])
    counts = {problem.what: problem.message.split()[0] for problem in checked.problems if problem.severity == "note"}
    assert counts == {"bare": "1", "duplicate": "1", "isolated": "5", "loop": "1", "unlabelled": "1"}
    text_NF[6], text_NF[7, 2] = np.nan, np.inf
    np.save(library / "abstracts.npy", text_NF[:8])
    assert told(check_graph(library, ANCHORS)) == sorted([*faults, ("error", "features", "abstracts.npy, row 8")])
    assert ("error", "label", "papers.csv, row 4") not in told(check_graph(library, None))


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12))
def test_what_may_be_meant_is_counted(pairs: list[tuple[int, int]]) -> None:
    proper = [frozenset(pair) for pair in pairs if len({*pair}) == 2]
    counts = {"loop": len(pairs) - len(proper), "duplicate": len(proper) - len({*proper})}
    counts["isolated"] = 6 - len(frozenset().union(*proper))
    with TemporaryDirectory() as folder:
        write(Path(folder), [f"p{n},2,{n},{n}" for n in range(6)], [f"p{a},p{b}" for a, b in pairs])
        problems = check_graph(Path(folder), ANCHORS).problems
    counted = {problem.what: int(problem.message.split()[0]) for problem in problems}
    assert counted == {what: count for what, count in counts.items() if count}


def test_what_others_do_not_have_is_told(library: Path) -> None:
    assert told(check_graph(library, anchors_of_graph(LABELS, {"text": 7}))) == [
        ("error", "anchors", "library"),
        ("error", "modality", "library"),
    ]
    assert told(check_graph(library, AnchorSet(LABELS, {}))) == [("error", "modality", "library")] * 2


def test_a_folder_without_nodes_or_tables_is_an_error(library: Path) -> None:
    write(library, [], [])
    (library / "dataset.toml").write_text(GRAPH.replace('text = "abstracts.npy"\n', ""))
    assert told(check_graph(library, ANCHORS)) == [("error", "empty", "papers.csv")]
    (library / "citations.csv").unlink()
    assert told(check_graph(library, ANCHORS)) == [("error", "folder", "library")]


def test_the_commands_tell_and_exit_1_for_an_error(
    library: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    concord = caller(monkeypatch, capsys, columns=80)
    out = str(library.parent / "anchors")
    save_anchors(ANCHORS, Path(out))
    command = ("data", "check", str(library), "--anchors", out)
    assert concord(*command)[:2] == (0, "library: 6 numbers of 3 labels, 6 text of 3 labels; 0 errors, 0 notes\n")
    (library / "citations.csv").write_text("source,target\np0,p99\n")
    status, said, _ = concord(*command)
    assert status == 1
    assert "error edge: 1" in said
    status, said, _ = concord(*command, "--json")
    assert status == 1
    assert {json.loads(line)["what"] for line in said.splitlines()} == {"edge", "isolated"}
    assert "C205" in concord("anchors", "build", out, "--graph", str(library))[2]
    assert "C102" in concord("anchors", "build", out, "--graph", str(library), "--modality", f"text={library}")[2]
    assert "C302" in concord("anchors", "check", out, "--plot", "plot.svg")[2]
    status, said, _ = concord("anchors", "check", out, "--json")
    assert json.loads(said)["modalities"] == {"numbers": {"features": 2}, "text": {"features": 6}}
    (library / "citations.csv").write_text("source,target\n")
    (library / "papers.csv").write_text("id,label,year,pages\n" + "".join(f"p{n},2,1,1\n" for n in range(6)))
    assert "C301" in concord("anchors", "build", out, "--graph", str(library))[2]
