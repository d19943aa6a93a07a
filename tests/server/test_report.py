"""report.html: complete for any run, loads nothing, and lets no string of another party become markup."""

from __future__ import annotations

import math
import re
import shutil
import struct
import subprocess
import zlib
from collections.abc import Sequence
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from made_up_graph import write_texas
from synthetic_run import write_synthetic_run
from tiny_run import Settings, run_tiny

from concord.config import RunConfig, parse_config
from concord.run_folder import RunFolder
from concord.samples import FUSED
from server_app.report import write_report
from server_app.results import Accuracy, load_result, save_result

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{ 7*7 }}\ud800"
VOID = {"meta", "br", "img", "link", "input"}
SECTIONS = ("accuracy", "agreement", "retrieval", "weights", "traffic", "rejections", "run")
OF_GRAPHS = ("accuracy", "absent", "weights", "traffic", "rejections", "run")
OF_STAGE = ("accuracy", "absent", "prototypes", "homophily", "weights", "traffic", "rejections", "run")
OF_AGENTS = ("accuracy", "slices", "traffic", "rejections", "run")
CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)


class Page(HTMLParser):
    """The elements of a page; fails on one that is not closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def count(self, tag: str, **attributes: str) -> int:
        return sum(name == tag and attributes.items() <= found.items() for name, found in self.elements)


def _page(folder: RunFolder) -> tuple[str, Page]:
    html = write_report(folder.path).read_text()
    return html, Page(html)


def test_a_finished_run_has_everything(tmp_path: Path) -> None:
    html, page = _page(write_synthetic_run(tmp_path))
    assert [found["id"] for tag, found in page.elements if tag == "section"] == list(SECTIONS)
    assert page.count("svg", role="img") == 2 + 5 + 1 + 1
    assert page.count("table") == 2 + 1 + 4 + 4 + 7 + 2 + 1 + 2
    assert "GeoLoRA on digits" in html
    assert "kept the old one" in html
    assert "update norm 412.7 above the bound 100" in html
    assert re.search(r"kept\s+the old model", html)


def test_what_all_modalities_reach_together_is_told_apart_from_each(tmp_path: Path) -> None:
    folder = write_synthetic_run(tmp_path)
    result = load_result(tmp_path)
    fused = {
        split: {**table, FUSED: Accuracy(accuracy=0.987, macro_f1=0.9, examples=99)} for split, table in result.accuracy.items()
    }
    save_result(tmp_path, result.model_copy(update={"accuracy": fused}))
    html, _ = _page(folder)
    assert "Fused accuracy, random split" in html
    assert "Mean accuracy" not in html
    assert re.search(r"modalities <b>image, pen, sign, speech, word</b>", html)
    assert html.index(">word<") < html.index(">fused<"), "after the modalities"


@pytest.mark.parametrize("method", ["parse", "dsgd-modality"])
def test_the_page_of_agents_shows_slices_and_nothing_that_only_a_server_knows(tmp_path: Path, method: str) -> None:
    agents = ("image-forms-a", "image-forms-b", "tone-north")
    run_tiny(tmp_path, {"method": method, "local-steps": 1, "rounds": 1}, agents)
    html, page = _page(RunFolder(tmp_path))
    assert [found["id"] for tag, found in page.elements if tag == "section"] == list(OF_AGENTS)
    assert [found["href"] for tag, found in page.elements if tag == "a"] == [f"#{name}" for name in OF_AGENTS]
    assert "agents <b>3</b>" in html
    assert "kinds <b>image, tone</b>" in html
    assert "global model" not in html
    assert ">Model<" not in html
    accuracy = load_result(tmp_path).accuracy["unseen"]
    slices = html[html.index('id="slices"') : html.index('id="traffic"')]
    if method == "parse":
        for name in ("image", "image without unique", "tone redundant alone"):
            assert f"{100 * accuracy[name].accuracy:.1f}" in slices
    else:
        assert "Not measured" in slices


@pytest.mark.parametrize("method", ["stage", "fedavg"])
def test_the_page_of_a_graph_shows_parties_and_what_a_lost_modality_costs(tmp_path: Path, method: str) -> None:
    data = str(write_texas(tmp_path / "packs"))
    settings: Settings = {"method": method, "suite": "heterophily", "scenario": "graph=texas", "data": data, "rounds": 1}
    run_tiny(tmp_path / "run", settings, ("texas-1", "texas-2", "texas-3"))
    folder = RunFolder(tmp_path / "run")
    html, page = _page(folder)
    assert [found["id"] for tag, found in page.elements if tag == "section"] == list(OF_STAGE if method == "stage" else OF_GRAPHS)
    assert "parties <b>3</b>" in html
    assert "modalities <b>features</b>" in html
    assert "the graph has one modality" in html
    assert html.count(">fused<") == 2 + 1 + 3  # at the ends of two lines, and in rows of the whole and of each party
    result, lost = load_result(folder.path), Accuracy(accuracy=0.125, examples=9)
    fused = {split: {**by, "fused without features": lost} for split, by in result.accuracy.items()}
    save_result(folder.path, result.model_copy(update={"accuracy": fused}))
    absent = _page(folder)[0].partition('id="absent"')[2].partition("</section>")[0]
    assert re.search(r"all modalities.*without features.*12\.5", absent, re.DOTALL)
    folder.write_config(parse_config({**folder.read_config(), "stage.homophily-control": False}))
    uncontrolled = [found["id"] for tag, found in _page(folder)[1].elements if tag == "section"]
    assert uncontrolled == [name for name in (OF_STAGE if method == "stage" else OF_GRAPHS) if name != "homophily"]


def test_the_page_of_links_shows_how_high_they_rank(tmp_path: Path) -> None:
    data = str(write_texas(tmp_path / "packs"))
    scenario = "graph=texas+task=links"
    settings: Settings = {"method": "stage", "suite": "heterophily", "scenario": scenario, "data": data, "rounds": 2}
    result = run_tiny(tmp_path / "run", settings, ("texas-1", "texas-2", "texas-3"))
    folder = RunFolder(tmp_path / "run")
    html, page = _page(folder)
    sections = [found["id"] for tag, found in page.elements if tag == "section"]
    assert sections[0] == "ranking"
    assert "accuracy" not in sections
    told, links = html.partition('id="ranking"')[2].partition("</section>")[0], result.ranking["test"]["links"]
    assert f"{links.mrr:.2f}" in told
    assert "the links were held out" in told
    assert f"by chance: {links.chance:.2f}" in html
    (tmp_path / "run" / "result.json").unlink()
    assert "Latest" in _page(folder)[0].partition('id="ranking"')[2]


def test_the_page_loads_nothing(tmp_path: Path) -> None:
    html, page = _page(write_synthetic_run(tmp_path))
    assert "http://" not in html
    assert "https://" not in html
    assert "url(" not in html
    assert "@import" not in html
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in page.elements}
    assert all(found["href"].startswith("#") for _, found in page.elements if "href" in found)
    assert page.count(
        "meta", **{"http-equiv": "Content-Security-Policy", "content": "default-src 'none'; style-src 'unsafe-inline'"}
    )


def test_charts_and_tables_are_told_to_screen_readers(tmp_path: Path) -> None:
    html, page = _page(write_synthetic_run(tmp_path))
    drawn = re.findall(r"<svg [^>]*role=\"img\"[^>]*><title>[^<]+</title><desc>[^<]+</desc>", html)
    assert len(drawn) == page.count("svg", role="img")
    assert "speech from 10" in html
    assert page.count("svg", role="img") + page.count("svg", **{"aria-hidden": "true"}) == page.count("svg")
    assert all(found.get("scope") in ("row", "col") for tag, found in page.elements if tag == "th")
    assert all("<th" in table for table in re.findall(r"<table.*?</table>", html, re.DOTALL))


@pytest.mark.parametrize("finished", [True, False])
def test_hostile_strings_stay_text(tmp_path: Path, finished: bool) -> None:
    nodes = {"a-1": "image", "b-1": "speech"} if finished else {HOSTILE: "image", "b-1": f"speech{HOSTILE}"}
    folder = write_synthetic_run(tmp_path, nodes, rounds=3, finished=finished)
    folder.append_metrics({"scope": "rejection", "round": 2, "node": HOSTILE, "reason": HOSTILE, "detail": HOSTILE})
    folder.append_metrics({"scope": "weight", "round": 3, "group": HOSTILE, "node": HOSTILE, "share": 0.5})
    if finished:
        result = load_result(tmp_path)
        clean = HOSTILE.removesuffix("\ud800")
        save_result(
            tmp_path, result.model_copy(update={"anchors": clean, "versions": {clean: clean}, "weights": {clean: {clean: 1.0}}})
        )
    else:
        folder.append_metrics({"scope": "run", "event": "failed", "message": HOSTILE})
    html, page = _page(folder)
    assert "<script" not in html
    assert page.count("img") == 0
    assert "{{ 7*7 }}" in html
    assert not [name for _, found in page.elements for name in found if name.startswith("on")]
    assert "&lt;script&gt;" in html


def test_a_run_that_failed_says_why(tmp_path: Path) -> None:
    folder = write_synthetic_run(tmp_path, rounds=3, finished=False)
    folder.append_metrics({"scope": "run", "event": "failed", "message": "C401 too few nodes: 2 of 14"})
    html, _ = _page(folder)
    assert "failed" in html
    assert "C401 too few nodes: 2 of 14" in html
    assert "3 of 3" in html


def test_old_final_figures_do_not_count_while_a_resumed_run_goes_on(tmp_path: Path) -> None:
    folder = write_synthetic_run(tmp_path)
    folder.append_metrics({"scope": "run", "event": "started", "message": "resumed after round 10"})
    html, _ = _page(folder)
    assert "unfinished" in html
    assert "Versions" not in html


def test_old_final_figures_do_not_count_once_a_run_has_been_given_more_rounds(tmp_path: Path) -> None:
    folder = write_synthetic_run(tmp_path)
    folder.write_config(parse_config({**folder.read_config(), "rounds": 12}))
    html, _ = _page(folder)
    assert "unfinished" in html
    assert "Versions" not in html


def test_a_node_that_the_census_refused(tmp_path: Path) -> None:
    folder = write_synthetic_run(tmp_path, finished=False)
    folder.append_metrics({"scope": "rejection", "round": 0, "node": "x", "reason": "anchors", "detail": "other anchors"})
    assert '<th scope="row">census</th>' in _page(folder)[0]


def test_the_final_evaluation_is_not_a_round(tmp_path: Path) -> None:
    html, _ = _page(write_synthetic_run(tmp_path, {"a-1": "image", "b-1": "speech"}, rounds=3))
    assert "<b>3 of 3</b>" in html
    assert "for 3 rounds" in html
    assert "6 of 6" in html
    assert '<th scope="row">evaluation</th>' in html
    assert not re.search(r"<title>\w+, round 4", html)


def test_the_direction_gap_is_shown_where_it_was_measured(tmp_path: Path) -> None:
    folder = write_synthetic_run(tmp_path)
    assert "<title>gap, round 1: 300</title>" in _page(folder)[0]
    assert "<title>gap, round 6" not in _page(folder)[0]
    folder.metrics.write_text(folder.metrics.read_text().replace("direction-gap", "else"))
    assert "irection gap" not in _page(folder)[0]


def test_a_round_without_nodes(tmp_path: Path) -> None:
    html, page = _page(write_synthetic_run(tmp_path, rounds=1, nodes={}, finished=False))
    assert "unfinished" in html
    assert "Nothing has been evaluated yet." in html
    assert page.count("section") == len(SECTIONS)


def test_without_metrics(tmp_path: Path) -> None:
    folder = write_synthetic_run(tmp_path, finished=False)
    folder.metrics.unlink()
    html, page = _page(folder)
    assert page.count("svg") == 0
    assert "No round has ended yet." in html


def test_one_modality(tmp_path: Path) -> None:
    html, page = _page(write_synthetic_run(tmp_path, {"a-1": "image", "a-2": "image"}))
    assert "it takes two modalities" in html
    assert page.count("table", **{"class": "heat"}) == 0
    assert page.count("svg", role="img") == 2 + 1 + 1


def test_two_modalities_share_one_chart_of_agreement(tmp_path: Path) -> None:
    html, _ = _page(write_synthetic_run(tmp_path, {"a-1": "image", "b-1": "speech"}))
    assert html.count("<figcaption>Agreement with") == 1


def test_figures_that_are_not_defined(tmp_path: Path) -> None:
    folder = write_synthetic_run(tmp_path, {"a-1": "image", "b-1": "speech"}, finished=False, rounds=3)
    for line in (
        {
            "scope": "modality",
            "round": 4,
            "modality": "image",
            "split": "random",
            "accuracy": math.nan,
            "loss": None,
            "examples": 0,
        },
        {"scope": "cka", "round": 4, "pair": "image|speech", "cka": math.nan},
        {"scope": "round", "round": 4, "seconds": None},
        {"scope": "modality"},
        {"scope": "later-version", "round": 4},
    ):
        folder.append_metrics(line)
    html, _ = _page(folder)
    assert "nan" not in html.lower().replace("font-variant-numeric", "")
    assert "–" in html


def test_the_command_repeats_what_was_changed(tmp_path: Path) -> None:
    folder = write_synthetic_run(tmp_path, rounds=RunConfig().rounds)
    assert _command(folder) == "concord run --set suite=digits --set data=/data/digits --set seed=3"
    folder.write_config(parse_config({"anchors": "/my anchors", "adapter.train-a": True, "run-folder": "/runs/1"}))
    assert _command(folder) == (
        "concord run --set 'anchors=/my anchors' --set share-test-embeddings=false --set adapter.train-a=true"
    )


def _command(folder: RunFolder) -> str:
    command = re.search(r"<pre><code>(.*?)</code></pre>", _page(folder)[0])
    assert command
    return unescape(command[1])


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")
@pytest.mark.parametrize(("width", "scheme"), [(1280, 1), (390, 0)], ids=["desktop-light", "phone-dark"])
def test_a_browser_without_a_network_shows_the_page(tmp_path: Path, width: int, scheme: int) -> None:
    report = write_report(write_synthetic_run(tmp_path / "run").path)
    picture = tmp_path / "page.png"
    subprocess.run(
        [
            *(str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"),
            *("--host-resolver-rules=MAP * ~NOTFOUND", f"--blink-settings=preferredColorScheme={scheme}"),
            *(f"--window-size={width},1600", f"--screenshot={picture}", report.as_uri()),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    rows = _raw_rows(picture.read_bytes())
    assert len(rows) > 1000
    assert len(set(rows)) > len(rows) / 10


def _raw_rows(png: bytes) -> Sequence[bytes]:
    """The filtered rows of a PNG: those of a blank picture are all but equal."""
    width, height = struct.unpack(">II", png[16:24])
    at, packed = 8, b""
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        packed += png[at + 8 : at + 8 + length] if png[at + 4 : at + 8] == b"IDAT" else b""
        at += 12 + length
    raw = zlib.decompress(packed)
    stride = len(raw) // height
    assert stride > width
    return [raw[i * stride : (i + 1) * stride] for i in range(height)]
