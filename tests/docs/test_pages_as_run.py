"""docs/running.md, docs/peers.md and deploy/README.md as a reader follows them: commands are run in the order of the page.

Training is short and in this process; all else is as it stands there.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from command_line import Outcome, caller
from own_data import write_pictures, write_sounds
from PIL import Image
from test_documented_commands import fenced
from tiny_run import TINY, as_options, train_here

from concord.commands import run as run_command
from concord.processes import free_port
from server_app.results import load_result

DOCS = Path(__file__).parents[2] / "docs"
SHORT = TINY | {"rounds": 1, "local-steps": 1, "warmup.steps": 1}


def block(page: str, after: str, language: str = "") -> str:
    """The first block of a page after some words."""
    _, _, rest = (DOCS / page).read_text().partition(after)
    found = re.search(rf"^```{language}\n(.*?)^```$", rest, re.MULTILINE | re.DOTALL)
    assert found, page
    return found[1]


@pytest.fixture
def concord(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., Outcome]:
    monkeypatch.setattr(run_command, "run_simulation", train_here)
    monkeypatch.chdir(tmp_path)
    return caller(monkeypatch, capsys, columns=200)


def in_place_of_own_data(folder: Path, concord: Callable[..., Outcome]) -> None:
    """Two nodes of files in `mine`, and `SET`, their anchors."""
    write_sounds(folder / "mine" / "clinic")
    write_pictures(folder / "mine" / "school")
    write_sounds(folder / "public" / "speech", ("dan",), seed=2)
    write_pictures(folder / "public" / "sign", 4, seed=3)
    named = ("--modality", "speech=public/speech", "--modality", "sign=public/sign")
    assert concord("anchors", "build", "SET", *named)[0] == 0


def test_the_page_on_running(tmp_path: Path, packs: Path, dsads: Path, planetoid: Path, concord: Callable[..., Outcome]) -> None:
    in_place_of_own_data(tmp_path, concord)
    (tmp_path / "FOLDER").mkdir()
    Image.fromarray(np.eye(40, dtype=np.uint8) * 255).save(tmp_path / "FOLDER" / "one.png")
    soundfile.write(tmp_path / "key.wav", np.sin(np.arange(8000)), 8000)
    methods = []
    for line in block("running.md", "# Running").splitlines():
        program, *words = shlex.split(line, comments=True)
        assert program == "concord"
        data = "mine" if "own" in words else str(packs)
        words = [data if word == "DIR" else word for word in words]
        (*_, newest) = (None, *sorted((tmp_path / "runs").glob("*-demo-*")))
        words = [str(newest) if word == "RUN" else word for word in words]
        if words[0] == "run" and "--resume" not in words:
            words += as_options(SHORT)
        status, out, err = concord(*words)
        assert status == 0, (line, err)
        assert out.strip()
        if words[0] == "run":
            methods.append(out.partition(" on ")[0])
    assert methods == ["geolora", "fedmchain", "parse", "stage", "fedavg", "geolora", "fedavg"]
    runs = sorted(tmp_path.glob("runs/*"))
    assert len(runs) == 6
    for run in runs:
        assert load_result(run).rejections == []
        assert (run / "report.html").exists()


def test_the_page_on_agents(tmp_path: Path, dsads: Path, concord: Callable[..., Outcome]) -> None:
    agent = block("peers.md", "with paths relative", "toml").replace("192.0.2.3:9300", f"127.0.0.1:{free_port()}")
    alone = re.sub(r"^subject-\d.*\n", "", agent, flags=re.MULTILINE)
    assert alone != agent
    (tmp_path / "subject-3-a.toml").write_text(alone + "".join(f"{key} = {json.dumps(value)}\n" for key, value in SHORT.items()))
    for line in block("peers.md", "## An agent").splitlines():
        program, *words = shlex.split(line, comments=True)
        assert program == "concord"
        status, _, err = concord(*(str(dsads) if word == "DIR" else word for word in words))
        assert status == 0, (line, err)
    assert json.loads((tmp_path / "runs" / "subject-3-a" / "result.json").read_text())["accuracy"]["unseen"]


def test_the_guide_to_deployment(tmp_path: Path, concord: Callable[..., Outcome]) -> None:
    """All but `concord submit`, which needs the SuperLink that the federations of tests/deploy have."""
    done = []
    for line in fenced((DOCS.parent / "deploy" / "README.md").read_text()):
        program, *words = shlex.split(
            re.sub(r"(?<!\S)[/~]/?(?=\w)", f"{tmp_path}/", line).replace("$ward", "ward-1"), comments=True
        )
        if program == "concord" and words[0] != "submit":
            status, _, err = concord(*words)
            assert status == 0, (line, err)
            done.append(" ".join(words[:2]))
    assert set(done) == {"keys ca", "keys server", "keys node", "keys peer", "data anchors", "data deal"}
    assert {path.name for path in (tmp_path / "etc/concord").iterdir()} >= {"node.key", "node.pub", "link.crt", "link.key"}
    assert list((tmp_path / "var/lib/concord/data").rglob("node.json"))
