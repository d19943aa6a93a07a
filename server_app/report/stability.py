"""The plot of `concord anchors check`: one file that needs no other, a chart a modality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from concord.functional.stability import Agreement
from server_app.report.charts import Series, element, line_chart
from server_app.report.formats import score
from server_app.report.palette import LIGHT, palette_slots
from server_app.report.scale import HEIGHT, WIDTH

HEADING = 34
STYLE = """
svg { --page: #ffffff; --ink: #1b2026; --quiet: #59626d; --rule: #e3e4df; --neutral: #5f6771; %s }
text { font: 12px system-ui, sans-serif; fill: var(--quiet); }
.heading { font-size: 15px; font-weight: 600; fill: var(--ink); }
.name { fill: var(--c); font-weight: 600; }
.rule { stroke: var(--rule); } .axis { stroke: var(--quiet); }
.line { fill: none; stroke: var(--c); stroke-width: 2.2; }
.dot { fill: var(--c); stroke: var(--page); stroke-width: 1.4; }
.spread { fill: var(--c); opacity: 0.16; }
"""


def stability_plot(agreement: Mapping[str, Sequence[Agreement]]) -> str:
    """An SVG file: CKA between halves of each modality's anchors and by chance, with 95 % intervals, by number of concepts."""
    slots = palette_slots(agreement)
    height = (HEIGHT + HEADING) * len(agreement)
    parts: list[Markup] = []
    for row, (modality, found) in enumerate(agreement.items()):
        title = f"{modality}: CKA between two halves of its samples"
        same = _series("halves", slots[modality], [(a.concepts, *a.same) for a in found])
        chance = _series("shuffled", None, [(a.concepts, *a.chance) for a in found])
        chart = line_chart((same, chance), title, "concepts", score, top=1.0)
        top = row * (HEIGHT + HEADING)
        parts.append(element("text", title, class_="heading", x=10, y=top + 22))
        parts.append(element("svg", chart, y=top + HEADING, width=WIDTH, height=HEIGHT))
    variables = " ".join(f"--s{slot}: {colour};" for slot, colour in enumerate(LIGHT))
    page = element("rect", width=WIDTH, height=height, fill="#ffffff")
    names = {"xmlns": "http://www.w3.org/2000/svg"}
    return str(element("svg", element("style", STYLE % variables), page, *parts, viewBox=f"0 0 {WIDTH} {height}", **names))


def _series(label: str, slot: int | None, found: Sequence[tuple[int, float, float, float]]) -> Series:
    points = tuple((float(concepts), mean) for concepts, mean, _, _ in found)
    return Series(label, slot, points, tuple((float(concepts), low, high) for concepts, _, low, high in found))
