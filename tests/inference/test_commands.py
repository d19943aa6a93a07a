"""`concord embed`, `classify` and `retrieve`, and every command and line of docs/using.md."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from command_line import Outcome, caller
from PIL import Image
from pyarrow import parquet

from client_app.data.federation import build_federation
from concord import load_model
from concord.errors import ConcordError
from concord.functional.retrieval import retrieval_scores
from server_app.run import Run

PAGE = Path(__file__).parents[2] / "docs" / "using.md"


@pytest.fixture
def home(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the page has it: the run, pictures, a recording."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "demo").symlink_to(run.folder.path)
    (tmp_path / "scans" / ".hidden").mkdir(parents=True)
    (tmp_path / "scans" / ".hidden" / "notes").write_text("no picture")
    levels = np.random.default_rng(0)
    for name in ("four", "seven", "two"):
        Image.fromarray(levels.integers(0, 256, (40, 30, 3), dtype=np.uint8)).save(tmp_path / "scans" / f"{name}.png")
    time_T = np.arange(8000) / 8000
    soundfile.write(tmp_path / "key.wav", np.sin(2 * np.pi * 770 * time_T) + np.sin(2 * np.pi * 1336 * time_T), 8000)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def concord(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    return caller(monkeypatch, capsys, columns=200)


def blocks(language: str) -> list[str]:
    """The blocks of the page in a language; none: commands."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return [block for found, block in fenced if found == language]


@pytest.mark.parametrize("line", [line for block in blocks("") for line in block.splitlines()])
def test_every_command_of_the_page_does_what_it_says(line: str, concord: Callable[..., Outcome]) -> None:
    program, *arguments = shlex.split(line)
    status, out, err = concord(*arguments)
    assert (program, status) == ("concord", 0), err
    assert out.strip()


@pytest.mark.parametrize("code", blocks("python"))
def test_the_lines_of_python_run(code: str, home: Path) -> None:
    names: dict[str, object] = {}
    exec(code, names)  # noqa: S102 - of our own page
    assert "model" in names or "trunk" in names


def test_the_command_line_says_what_python_says(home: Path, concord: Callable[..., Outcome]) -> None:
    model = load_model("runs/demo")
    pictures = [home / "scans" / f"{name}.png" for name in ("four", "seven", "two")]
    _, out, _ = concord("classify", "--model", "runs/demo", "--modality", "image", "scans", "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    probability_NC = model.classify({"image": pictures})
    assert [line["sample"] for line in lines] == [str(path.relative_to(home)) for path in pictures]
    assert [line["class"] for line in lines] == [model.concepts[c] for c in probability_NC.argmax(1)]
    assert [line["probabilities"][line["class"]] for line in lines] == pytest.approx(probability_NC.max(1).values.tolist())

    _, out, _ = concord(
        *("retrieve", "--model", "runs/demo", "--from", "tone", "--to", "image", "--query", "key.wav"),
        *("--gallery", "scans", "--json", "-k", "2"),
    )
    found = model.retrieve("tone", [home / "key.wav"], "image", pictures, k=2)
    assert [json.loads(line)["sample"] for line in out.splitlines()] == [
        str(pictures[row].relative_to(home)) for row in found.row[0]
    ]


@pytest.mark.parametrize("command", ["classify", "embed", "retrieve --from image --to image --gallery scans --query"])
def test_a_name_in_brackets_is_shown_as_it_is(command: str, home: Path, concord: Callable[..., Outcome]) -> None:
    (home / "scans" / "two.png").rename(home / "scans" / "two[red].png")
    name, *rest = command.split()
    _, out, err = concord(name, "--model", "runs/demo", *(rest or ["--modality", "image"]), "scans/two[red].png")
    assert "scans/two[red].png" in out, err


def test_embeddings_are_written_whole(home: Path, concord: Callable[..., Outcome]) -> None:
    expected_ND = load_model("runs/demo").embed("word", ["sept", "nueve"])
    (home / "words.txt").write_text("sept\n\nnueve\n")
    for out in ("words.npy", "words.parquet"):
        status, _, err = concord("embed", "--model", "runs/demo", "--modality", "word", "words.txt", "--out", out)
        assert status == 0, err
    assert np.array_equal(np.load("words.npy", allow_pickle=False), expected_ND.numpy())
    table = parquet.read_table("words.parquet")
    assert table.column("sample").to_pylist() == ["sept", "nueve"]
    assert np.array_equal(np.array(table.column("embedding").to_pylist(), np.float32), expected_ND.numpy())


def test_several_modalities_of_a_sample_are_judged_by_the_sum_of_their_logits(home: Path) -> None:
    model = load_model("runs/demo")
    picture, word = [home / "scans" / "two.png"], ["dos"]
    together = model.classify({"image": picture, "word": word})
    product = model.classify({"image": picture}) * model.classify({"word": word})
    torch.testing.assert_close(together, product / product.sum(1, keepdim=True))


def test_a_single_sample_in_place_of_a_list_is_told(home: Path) -> None:
    model = load_model("runs/demo")
    for call in (lambda: model.classify({"word": "sept"}), lambda: model.embed("image", Path("scans/two.png"))):  # type: ignore[arg-type]
        with pytest.raises(ConcordError, match=r"C702.*single sample"):
            call()


def test_retrieval_over_the_test_of_the_suite_gives_the_figure_of_its_ranking(home: Path) -> None:
    model = load_model("runs/demo")
    tests = {
        m: [n.tests["unseen"][m] for n in build_federation("demo", None, 0, "labelled").nodes if m in n.train]
        for m in ("word", "tone")
    }
    words, tones = tests["word"][0], tests["tone"][0]
    found = model.retrieve("word", words.x, "tone", tones.x, k=10)
    precision, _ = retrieval_scores(model.embed("word", words.x), words.y, model.embed("tone", tones.x), tones.y, k=10)
    assert float((tones.y[found.row] == words.y[:, None]).double().mean()) == pytest.approx(precision)


MISTAKES = {
    "an unknown modality": ("classify --modality smell scans", "C204.*image, tone, word"),
    "no sample": ("classify --modality image", "C702.*no sample"),
    "a file that is not there": ("embed --modality image none.png", "C206"),
    "a file that is no picture": ("classify --modality image key.wav", "C206.*key.wav"),
    "a file that is no recording": ("classify --modality tone scans/two.png", "C206.*two.png"),
    "a text for a picture": ("classify --modality image --text two", "C702.*--text"),
    "a binary file of texts": ("classify --modality word key.wav", "C206.*key.wav"),
    "a sample in two modalities that are not two": ("classify --modality image scans --also word=two", "C702.*as many"),
    "--also without a modality": ("classify --modality image scans/two.png --also two", "C702.*MODALITY=SAMPLE"),
    "an unknown space": ("embed --modality word --text two --space outer", "C702.*outer"),
    "an unknown format": ("embed --modality word --text two --out x.csv", "C703.*npy"),
    "a folder that is not there": ("embed --modality word --text two --out no/x.npy", "C703.*no/x.npy"),
    "an unknown test": ("retrieve --from word --to tone --text two --split later", "C702.*later"),
}


@pytest.mark.parametrize(("line", "told"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_are_told_with_a_code(line: str, told: str, concord: Callable[..., Outcome]) -> None:
    command, *rest = shlex.split(line)
    status, _, err = concord(command, "--model", "runs/demo", *rest)
    assert status == 2
    assert re.search(told, err, re.DOTALL), err


def test_a_folder_without_a_model_is_told(concord: Callable[..., Outcome]) -> None:
    status, _, err = concord("classify", "--model", "scans", "--modality", "image", "scans")
    assert (status, "C701" in err) == (2, True)
