"""Anchor sets of a user: what is drawn, in which order, how it is prepared, and how good it is."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import torch
from command_line import caller
from own_data import CONCEPTS, write_pictures, write_sounds

from client_app.data.own.anchors import build_anchors, concept_table, public_folder, table_concepts
from client_app.data.own.quality import assess
from client_app.data.preparation.registry import preparation_of
from client_app.files import read
from concord.anchors import AnchorSet, load_anchors
from concord.errors import ConcordError
from concord.functional.stability import Agreement
from concord.samples import Samples
from server_app.report.stability import stability_plot


def test_anchors_are_spread_over_owners_and_prepared_as_the_encoder_takes_them(tmp_path: Path) -> None:
    folder = write_sounds(tmp_path / "speech")
    anchors = build_anchors({"speech": public_folder(folder, "speech")}, {}, (), 3, seed=0)
    samples = anchors.of("speech")
    assert anchors.concepts == CONCEPTS  # 2 before 10
    assert samples.y.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    for i, id_ in enumerate(samples.ids):
        assert CONCEPTS[samples.y[i]] == id_.split("_")[0]
        assert torch.equal(samples.x[i], preparation_of("sound").prepare(read("audio", folder / id_)))
    for concept in range(3):
        assert {id_.split("_")[1] for id_ in samples.ids[3 * concept : 3 * concept + 3]} == {"ann", "bob", "cem"}
    again = build_anchors({"speech": public_folder(folder, "speech")}, {}, (), 3, seed=0)
    other = build_anchors({"speech": public_folder(folder, "speech")}, {}, (), 3, seed=1)
    assert anchors.digest == again.digest != other.digest


def test_a_table_of_concepts_has_a_column_a_modality(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures")
    rows = ["concept,sign,word", "30,pictures/30/0.png,thirty", "2,pictures/2/0.png,two", "2,pictures/2/1.png,", "10,,ten"]
    (tmp_path / "concepts.csv").write_text("\n".join(rows) + "\n")
    public = concept_table(tmp_path / "concepts.csv")
    anchors = build_anchors(public, {}, table_concepts(tmp_path / "concepts.csv"), 10, seed=0)
    assert anchors.concepts == ("30", "2", "10")
    assert anchors.encoders == {"sign": "image", "word": "word"}
    assert anchors.of("sign").y.tolist() == [0, 1, 1]
    assert anchors.of("word").ids == ("concepts.csv-1", "concepts.csv-2", "concepts.csv-4")
    assert anchors.mask("sign").tolist() == [True, True, False]


def test_series_say_themselves_how_many_channels_they_have(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number, concept in enumerate(CONCEPTS):
        (tmp_path / concept).mkdir()
        for i in range(3):
            np.save(tmp_path / concept / f"{i}.npy", rng.normal(number, 1, (40 + i, 2)))
    vitals = {"vitals": public_folder(tmp_path, "vitals")}
    anchors = build_anchors(vitals, {}, (), 3, seed=0)
    assert anchors.encoders == {"vitals": "series:2"}
    assert anchors.of("vitals").x.shape == (9, 128, 2)
    assert build_anchors(vitals, {"vitals": "series"}, (), 3, seed=0).digest == anchors.digest
    with pytest.raises(ConcordError, match=r"C206.*channels of a series: 2.*takes 3"):
        build_anchors(vitals, {"vitals": "series:3"}, (), 3, seed=0)


def test_what_does_not_go_together_is_told(tmp_path: Path) -> None:
    pictures, sounds = write_pictures(tmp_path / "sign"), write_sounds(tmp_path / "speech")
    places = {"sign": public_folder(pictures, "sign")}
    for encoder in ("sound", "nope"):
        with pytest.raises(ConcordError, match="C204"):
            build_anchors(places, {"sign": encoder}, (), 3, seed=0)
    for name in ("a.b", "", "values", "../x", "1"):
        with pytest.raises(ConcordError, match="C102"):
            build_anchors({name: places["sign"]}, {}, (), 3, seed=0)
    with pytest.raises(ConcordError, match=r"C207.*'30'"):
        build_anchors(places, {}, ("2", "10"), 3, seed=0)
    (tmp_path / "both").mkdir()
    pictures.rename(tmp_path / "both/sign")
    sounds.rename(tmp_path / "both/speech")
    with pytest.raises(ConcordError, match=r"C205.*audio, image, and none is called sign"):
        public_folder(tmp_path / "both", "sign")
    (tmp_path / "flat").mkdir()
    (tmp_path / "both/sign/2/0.png").rename(tmp_path / "flat/0.png")
    with pytest.raises(ConcordError, match="C302"):
        build_anchors({"sign": public_folder(tmp_path / "flat", "sign")}, {}, (), 3, seed=0)


def test_a_concept_that_is_there_twice_under_two_names_is_found(tmp_path: Path) -> None:
    anchors = build_anchors({"sign": public_folder(write_pictures(tmp_path / "sign", 6), "sign")}, {}, (), 6, seed=0)
    sign = anchors.of("sign")
    twin = sign.take(torch.nonzero(sign.y == 1).flatten())
    x, y_N = torch.cat([sign.x, twin.x + 0.01]), torch.cat([sign.y, torch.full((6,), 3)])
    doubled = AnchorSet((*CONCEPTS, "ten"), {"sign": Samples(x, y_N, (*sign.ids, *"abcdef"))}, {"sign": "image"})
    qualities, problems = assess(doubled, seed=0)
    assert [(problem.what, problem.place) for problem in problems if problem.what == "alike"] == [("alike", "10, ten")]
    assert qualities["sign"].most_alike[1:] == ("10", "ten")
    assert (qualities["sign"].samples, qualities["sign"].covered, qualities["sign"].fewest) == (24, 4, 6)
    assert [found.concepts for found in qualities["sign"].agreement] == [3, 4]


def test_concepts_without_samples_are_told(tmp_path: Path) -> None:
    sign = build_anchors({"sign": public_folder(write_pictures(tmp_path / "sign", 2), "sign")}, {}, (), 2, seed=0).of("sign")
    some = sign.take(torch.nonzero(sign.y < 2).flatten())
    anchors = AnchorSet((*CONCEPTS, "none"), {"a": sign, "b": some}, {"a": "image", "b": "image"})
    told = {(problem.severity, problem.what, problem.place) for problem in assess(anchors, seed=0)[1]}
    assert {
        ("note", "coverage", "30"),
        ("error", "coverage", "none"),
        ("error", "coverage", "a, b"),
        ("note", "unstable", "b"),
    } <= told


def test_the_plot_is_a_picture_by_itself() -> None:
    found = [Agreement(size, (0.9, 0.8, 1.0), (0.3, 0.2, 0.4)) for size in (3, 5, 9)]
    root = ET.fromstring(stability_plot({"speech <1>": found, "sign": found}))  # noqa: S314
    svg = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f".//{svg}polygon")) == 4
    assert [text.text for text in root.findall(f"{svg}text")] == [
        "speech <1>: CKA between two halves of its samples",
        "sign: CKA between two halves of its samples",
    ]
    assert not [e for e in root.iter() if e.tag.endswith(("script", "image")) or "href" in e.attrib]


def test_the_commands_build_and_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    concord = caller(monkeypatch, capsys, columns=80)
    pictures, sounds, out = write_pictures(tmp_path / "sign"), write_sounds(tmp_path / "speech"), str(tmp_path / "anchors")
    build = ("anchors", "build", out, "--modality", f"speech={sounds}", "--modality", f"sign={pictures}")
    status, told, _ = concord(*build)
    assert status == 0
    assert "3 concepts, 30 speech (sound), 30 sign (image)" in told
    assert concord(*build)[0] == 0
    assert "C301" in concord(*build, "--per-concept", "2")[2]
    assert "C102" in concord("anchors", "build", out, "--modality", "speech")[2]
    assert "C302" in concord("anchors", "build", out)[2]
    status, told, _ = concord("anchors", "check", out, "--plot", str(tmp_path / "plot.svg"))
    assert status == 0
    assert "CKA of halves" in told
    assert (tmp_path / "plot.svg").read_text().startswith("<svg")
    said = json.loads(concord("anchors", "check", out, "--json")[1])
    assert said["modalities"]["sign"]["samples"] == 30
    assert load_anchors(Path(out)).digest
    (tmp_path / "anchors/sign.safetensors").unlink()
    assert "C301" in concord("anchors", "check", out)[2]
