"""Suite `world`: countries with flag, outline, prose and numbers; borders or trade as edges, regions or subregions as classes.

Six parties by communities of the edges. Neighbours by land mostly share their region, partners in trade often do not.
"""

from __future__ import annotations

from functools import partial

from client_app.data.graph import GraphSource, Texts
from client_app.data.readers.world import PROSE, TEXTS, WIDTHS, WORLD, Edges, Labels, read_prose, read_world
from client_app.data.suite import GraphSuite

PARTIES = 6
REGIONS = ("Africa", "Americas", "Asia", "Europe", "Oceania")
SUBREGIONS = (
    "Australia and New Zealand",
    "Caribbean",
    "Central America",
    "Central Asia",
    "Central Europe",
    "Eastern Africa",
    "Eastern Asia",
    "Eastern Europe",
    "Melanesia",
    "Micronesia",
    "Middle Africa",
    "North America",
    "Northern Africa",
    "Northern Europe",
    "Polynesia",
    "South America",
    "South-Eastern Asia",
    "Southeast Europe",
    "Southern Africa",
    "Southern Asia",
    "Southern Europe",
    "Western Africa",
    "Western Asia",
    "Western Europe",
)


def _source(name: str, edges: Edges, labels: Labels) -> GraphSource:
    concepts = REGIONS if labels == "region" else SUBREGIONS
    read, texts = partial(read_world, edges=edges, labels=labels), {"text": Texts(TEXTS, read_prose)}
    return GraphSource(name, concepts, WIDTHS, PARTIES, (WORLD, PROSE), read, texts)


WORLD_SUITE = GraphSuite(
    name="world",
    what="237 countries by flag, outline, prose and numbers: borders, trade, borders-subregion, trade-subregion",
    licence="ODbL 1.0 (it has an ODbL part; the rest is in the public domain)",
    origin="mledoze/countries, factbook/factbook.json and noto-emoji: `concord data check` names the commits",
    graphs=(
        _source("borders", "borders", "region"),
        _source("trade", "trade", "region"),
        _source("borders-subregion", "borders", "subregion"),
        _source("trade-subregion", "trade", "subregion"),
    ),
)
