"""docs/own-data.md as a user walks it: every file in it is written and every command run, on two nodes.

Training is in this process and small; all else is as it stands there.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from own_data import CONCEPTS, write_pictures, write_sounds
from own_graph import LABELS, write_graph
from tiny_run import TINY, as_options, train_here

from concord import cli
from concord.anchors import load_anchors
from concord.commands import run as run_command
from server_app.results import load_result

DOC = Path(__file__).parents[2] / "docs" / "own-data.md"
SAMPLES, _, GRAPHS = DOC.read_text().partition("## Graphs\n")
BLOCK = re.compile(r"^```(sh|toml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SMALL = as_options({key: value for key, value in TINY.items() if key != "rounds"})
EACH = 14  # files of a class that are taken from the published ones


def published(folder: Path, packs: Path) -> None:
    """A few files of each class and speaker, as they are published."""
    taken: Counter[str] = Counter()
    for name in ("speech_wav", "sign_jpg"):
        with tarfile.open(packs / "files" / f"{name}.tar.gz") as archive:
            for member in archive:
                group = re.sub(r"_\d+\.(wav|JPG)$", "", member.name)
                if member.isfile() and taken[group] < (EACH if name == "sign_jpg" else 3):
                    taken[group] += 1
                    archive.extract(member, folder, filter="data")


def made_up(folder: Path) -> None:
    """Files with names as the published ones have."""
    write_sounds(folder / "recordings", ("ann", "bob", "theo")).joinpath("dataset.toml").unlink()
    write_pictures(folder / "Dataset", EACH)
    for path in (folder / "Dataset").rglob("*.png"):
        path.rename(path.with_suffix(".PNG"))


def walk(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Writes the files of a page and runs its commands in `folder`; the commands of ours, in order."""

    monkeypatch.setattr(run_command, "run_simulation", train_here)
    monkeypatch.chdir(folder)
    ours = []
    for language, text in BLOCK.findall(page):
        if language == "toml":
            heading, _, content = text.partition("\n")
            Path(heading.removeprefix("# ")).write_text(content)
            continue
        for line in text.splitlines():
            if line.startswith("concord "):
                monkeypatch.setattr(sys, "argv", line.split() + (SMALL if line.startswith("concord run") else []))
                with pytest.raises(SystemExit) as left:
                    cli.main()
                assert not left.value.code, line
                ours.append(line)
            else:
                subprocess.run(["bash", "-euc", line], check=True)
    return ours


@pytest.mark.parametrize("source", ["made up", "published"])
def test_the_page_leads_from_folders_to_a_model(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if source == "published":
        published(tmp_path, request.getfixturevalue("published_files"))
    else:
        made_up(tmp_path)
    commands = walk(SAMPLES, tmp_path, monkeypatch)
    assert {" ".join(command.split()[1:3]) for command in commands} >= {"anchors build", "anchors check", "data check"}
    (run,) = (tmp_path / "runs").iterdir()
    result = load_result(run)
    assert result.rejections == []
    assert result.accuracy["random"].keys() == {"speech", "sign"}
    assert result.accuracy["unseen"].keys() >= {"speech"}
    assert [(node.name, node.modalities) for node in result.nodes] == [("clinic", ["speech"]), ("school", ["sign"])]
    concepts = CONCEPTS if source == "made up" else tuple("0123456789")
    assert load_anchors(run / "model/anchors").concepts == concepts
    assert (tmp_path / "anchors.svg").read_text().startswith("<svg")


def test_its_section_on_graphs_leads_from_tables_to_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, name in enumerate(("north", "south")):
        write_graph(tmp_path / "libraries" / name, seed=seed).joinpath("dataset.toml").unlink()
    commands = walk(GRAPHS, tmp_path, monkeypatch)
    assert [command.split()[1:3] for command in commands] == [
        ["anchors", "build"],
        ["anchors", "check"],
        ["data", "check"],
        ["run", "--suite"],
    ]
    said = capsys.readouterr().out
    assert "graph-anchors: 3 concepts, 2 features of numbers, 6 features of text, set " in said
    assert "of graphs: 3 concepts, 2 features of numbers, 6 features of text; there are no samples" in said
    assert "south: 34 numbers of 3 labels, 32 text of 3 labels; 0 errors, 2 notes" in said
    (run,) = (tmp_path / "runs").iterdir()
    result = load_result(run)
    assert result.rejections == []
    assert [node.name for node in result.nodes] == ["north", "south"]
    assert load_anchors(tmp_path / "graph-anchors").concepts == LABELS
    assert (run / "report.html").exists()
