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
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_run import write_synthetic_run

from concord.config import parse_config
from concord.run_folder import RunFolder
from server_app import charts
from server_app.charts import Series
from server_app.report import duration, percent, score, size, write_report
from server_app.report_template import STYLE
from server_app.results import load_result, save_result

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{ 7*7 }}\ud800"
VOID = {"meta", "br", "img", "link", "input"}
SECTIONS = ("accuracy", "agreement", "retrieval", "weights", "traffic", "rejections", "run")
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
    assert page.count("svg", role="img") == 2 + 5 + 1
    assert page.count("table") == 2 + 1 + 4 + 4 + 7 + 2 + 1 + 2
    assert "GeoLoRA on digits" in html
    assert "kept the old one" in html
    assert "update norm 412.7 above the bound 100" in html
    assert re.search(r"kept\s+the old model", html)


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


def test_a_node_that_the_census_refused(tmp_path: Path) -> None:
    folder = write_synthetic_run(tmp_path, finished=False)
    folder.append_metrics({"scope": "rejection", "round": 0, "node": "x", "reason": "anchors", "detail": "other anchors"})
    assert '<th scope="row">census</th>' in _page(folder)[0]


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
    assert page.count("svg", role="img") == 2 + 1


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
    folder = write_synthetic_run(tmp_path)
    assert _command(folder) == "concord run --set suite=digits --set data=/data/digits --set seed=3"
    folder.write_config(parse_config({"anchors": "/my anchors", "adapter.train-a": True, "run-folder": "/runs/1"}))
    assert _command(folder) == (
        "concord run --set 'anchors=/my anchors' --set share-test-embeddings=false --set adapter.train-a=true"
    )


def _command(folder: RunFolder) -> str:
    command = re.search(r"<pre><code>(.*?)</code></pre>", _page(folder)[0])
    assert command
    return unescape(command[1])


def test_numbers_in_words() -> None:
    assert [size(n).replace("\N{NARROW NO-BREAK SPACE}", " ") for n in (0, 999, 1500, 48_650, 250e6)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "48.6 kB",
        "250 MB",
    ]
    assert duration(59.94).startswith("59.9")
    assert duration(125) == "2 min 5 s"
    assert duration(7260) == "2 h 1 min"
    assert percent(0.8765).startswith("87.6") or percent(0.8765).startswith("87.7")
    assert score(-0.25) == "−0.25"
    assert {size(math.nan), duration(math.inf), percent(math.nan), score(math.nan)} == {"–"}


def test_ticks_are_round_numbers() -> None:
    assert charts.ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert charts.ticks(0, 734_000) == [0, 200_000, 400_000, 600_000]
    assert charts.ticks(-0.3, 0.5) == [-0.2, 0, 0.2, 0.4]
    assert charts.ticks(2, 2) == [2]


def test_labels_that_collide_move_apart_by_the_same_distance() -> None:
    assert charts.spread([50, 50], 10, 0, 100) == [45, 55]
    assert charts.spread([80, 20], 10, 0, 100) == [80, 20]
    assert charts.spread([99, 98], 10, 0, 100) == [100, 90]
    assert charts.spread([], 10, 0, 100) == []


@given(st.lists(st.floats(0, 100), max_size=8), st.floats(0, 12))
def test_spread_keeps_order_gap_and_bounds(wanted: list[float], gap: float) -> None:
    placed = charts.spread(wanted, gap, 0, 100)
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    steps = [placed[b] - placed[a] for a, b in pairwise(order)]
    assert all(step >= gap - 1e-6 for step in steps)
    assert all(-1e-6 <= place <= 100 + 1e-6 for place in placed)


def test_a_line_is_drawn_where_its_numbers_say() -> None:
    series = [Series("a <b>", 2, ((0, 0.0), (1, math.nan), (2, 0.5), (4, 1.0)))]
    drawn = charts.line_chart(series, "T & U", "rounds", percent, 1.0, bands=[4])
    base, left, end = charts.HEIGHT - charts.BOTTOM, charts.LEFT, charts.WIDTH - charts.RIGHT
    path = re.search(r' d="([^"]*)"', drawn)
    assert path
    middle = (left + end) / 2
    assert path[1] == f"M{left:.1f} {base:.1f}M{middle:.1f} {(base + charts.TOP) / 2:.1f}L{end:.1f} {charts.TOP:.1f}"
    assert "<title>T &amp; U</title>" in drawn
    assert "a &lt;b&gt;" in drawn
    assert 'class="band"' in drawn


def test_columns_are_as_high_as_their_numbers() -> None:
    drawn = charts.column_chart([Series("up", 0, ((1, 100.0), (2, 50.0)))], "Bytes", "round", size)
    heights = [float(h) for h in re.findall(r'height="([\d.]+)"', drawn)]
    assert heights[0] == pytest.approx(2 * heights[1], rel=1e-3)


def test_a_bar_is_clipped_to_its_cell() -> None:
    widths = [re.findall(r'width="([\d.]+)"', charts.bar(share, None))[1] for share in (0.25, 2.0, -1.0, math.nan)]
    assert widths == ["25", "100", "0", "0"]


def test_modalities_keep_their_colour_in_any_company() -> None:
    assert charts.palette_slots(["speech", "image"])["speech"] == charts.palette_slots(["pen", "speech"])["speech"]
    slots = charts.palette_slots(["image", "smell", "taste"])
    assert len(set(slots.values())) == 3
    assert len(charts.palette_slots([f"m{i}" for i in range(30)])) == 30


@pytest.mark.parametrize("dark", [False, True])
def test_colours_have_contrast(dark: bool) -> None:
    scheme = STYLE.split("prefers-color-scheme: dark")[dark]
    variables = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6}|[\d ]+);", scheme))
    page = _luminance(variables["page"])
    assert all(_contrast(_luminance(hex_), page) >= 3 for hex_ in (charts.LIGHT, charts.DARK)[dark])
    for text in ("ink", "quiet", "good", "bad", "band"):
        assert _contrast(_luminance(variables[text]), page) >= 4.5, text
    heat = "#" + "".join(f"{int(part):02x}" for part in variables["heat"].split())
    assert _contrast(_luminance(variables["ink"]), _luminance(heat)) >= 4.5


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _contrast(a: float, b: float) -> float:
    return (max(a, b) + 0.05) / (min(a, b) + 0.05)


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
