"""The charts of the report are drawn where their numbers say, in colours that can be told from the page."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_app.report import palette, scale
from server_app.report.charts import Series, bar, column_chart, line_chart
from server_app.report.formats import duration, millionths, percent, score, size
from server_app.report.style import STYLE


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
    assert [millionths(ratio) for ratio in (0, 3.42e-6, 3e-4, 0.2)] == ["0", "3.4", "300", "200000"]
    assert {size(math.nan), duration(math.inf), percent(math.nan), score(math.nan), millionths(math.nan)} == {"–"}


def test_ticks_are_round_numbers() -> None:
    assert scale.ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert scale.ticks(0, 734_000) == [0, 200_000, 400_000, 600_000]
    assert scale.ticks(-0.3, 0.5) == [-0.2, 0, 0.2, 0.4]
    assert scale.ticks(2, 2) == [2]


def test_labels_that_collide_move_apart_by_the_same_distance() -> None:
    assert scale.spread([50, 50], 10, 0, 100) == [45, 55]
    assert scale.spread([80, 20], 10, 0, 100) == [80, 20]
    assert scale.spread([99, 98], 10, 0, 100) == [100, 90]
    assert scale.spread([], 10, 0, 100) == []


@given(st.lists(st.floats(0, 100), max_size=8), st.floats(0, 12))
def test_spread_keeps_order_gap_and_bounds(wanted: list[float], gap: float) -> None:
    placed = scale.spread(wanted, gap, 0, 100)
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    steps = [placed[b] - placed[a] for a, b in pairwise(order)]
    assert all(step >= gap - 1e-6 for step in steps)
    assert all(-1e-6 <= place <= 100 + 1e-6 for place in placed)


def test_a_line_is_drawn_where_its_numbers_say() -> None:
    series = [Series("a <b>", 2, ((0, 0.0), (1, math.nan), (2, 0.5), (4, 1.0)))]
    drawn = line_chart(series, "T & U", "rounds", percent, 1.0, bands=[4])
    base, left, end = scale.HEIGHT - scale.BOTTOM, scale.LEFT, scale.WIDTH - scale.RIGHT
    path = re.search(r' d="([^"]*)"', drawn)
    assert path
    middle = (left + end) / 2
    assert path[1] == f"M{left:.1f} {base:.1f}M{middle:.1f} {(base + scale.TOP) / 2:.1f}L{end:.1f} {scale.TOP:.1f}"
    assert "<title>T &amp; U</title>" in drawn
    assert "a &lt;b&gt;" in drawn
    assert 'class="band"' in drawn


def test_columns_are_as_high_as_their_numbers() -> None:
    drawn = column_chart([Series("up", 0, ((1, 100.0), (2, 50.0)))], "Bytes", "round", size)
    heights = [float(h) for h in re.findall(r'height="([\d.]+)"', drawn)]
    assert heights[0] == pytest.approx(2 * heights[1], rel=1e-3)


def test_columns_that_are_further_apart_are_wider_for_it() -> None:
    points = tuple((10.0 * i, 1.0) for i in range(30))
    widths = [float(w) for w in re.findall(r'width="([\d.]+)"', column_chart([Series("n", None, points)], "N", "x", size, 10))]
    room = (scale.WIDTH - scale.LEFT - 12) / 30
    assert widths == pytest.approx([0.88 * 0.7 * room] * 30, rel=1e-3)


def test_a_bar_is_clipped_to_its_cell() -> None:
    widths = [re.findall(r'width="([\d.]+)"', bar(share, None))[1] for share in (0.25, 2.0, -1.0, math.nan)]
    assert widths == ["25", "100", "0", "0"]


def test_modalities_keep_their_colour_in_any_company() -> None:
    assert palette.palette_slots(["speech", "image"])["speech"] == palette.palette_slots(["pen", "speech"])["speech"]
    slots = palette.palette_slots(["image", "smell", "taste"])
    assert len(set(slots.values())) == 3
    assert len(palette.palette_slots([f"m{i}" for i in range(30)])) == 30


@pytest.mark.parametrize("dark", [False, True])
def test_colours_have_contrast(dark: bool) -> None:
    scheme = STYLE.split("prefers-color-scheme: dark")[dark]
    variables = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6}|[\d ]+);", scheme))
    page = _luminance(variables["page"])
    assert all(_contrast(_luminance(hex_), page) >= 3 for hex_ in (palette.LIGHT, palette.DARK)[dark])
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
