"""Suite `heterophily`: graphs whose neighbours often differ in class, with ten fixed splits.

Ten parties share out a graph; three each of the web graphs, which have some two hundred pages.
"""

from __future__ import annotations

from functools import partial

from client_app.data.graph import GraphSource
from client_app.data.readers.heterophilous import FEATURES, heterophilous_file, read_heterophilous
from client_app.data.suite import GraphSuite

PAGES = ("category 1", "category 2", "category 3", "category 4", "category 5")  # the packs do not name them


def _source(name: str, nodes: int, features: int, parties: int, size: int, sha256: str) -> GraphSource:
    file = heterophilous_file(name, size, sha256, nodes, len(PAGES), features)
    return GraphSource(name, PAGES, {FEATURES: features}, parties, (file,), partial(read_heterophilous, file))


HETEROPHILY = GraphSuite(
    name="heterophily",
    what="graphs whose neighbours often differ in class: texas, wisconsin, cornell, actor, chameleon_filtered, squirrel_filtered",
    licence="MIT, as the repository of the copies states",
    origin="yandex-research/heterophilous-graphs: `concord data check` names the copies",
    graphs=(
        _source("texas", 183, 1703, 3, 28_586, "b164b99e6c3d43e4ab07488ec59bd8c815f90cbc1bd4cf425ce587d2b534d844"),
        _source("wisconsin", 251, 1703, 3, 41_672, "2543c89838cfc75f737f7c4664cc1d097f8268602c20b2d1bd4f21407df9c074"),
        _source("cornell", 183, 1703, 3, 30_515, "684c54ba3daa13b0ba1f04a3d6dd1b1175c1ae9bdeb982851fd4ff96d3aac298"),
        _source("actor", 7600, 932, 10, 252_956, "c350eef06b2c2a9bf8218be2b57cac6d4003d0922eb597a039e9123f75817816"),
        _source("chameleon_filtered", 890, 2325, 10, 58_924, "bf46f07e1fb5249280447e5fe3100f3e82fc4b93ad1e13ffcfdec924b6ac0bb5"),
        _source("squirrel_filtered", 2223, 2089, 10, 208_215, "f06370ffb3116c5de8b7a600005400b2293c025e0ce2f6916d8201a825505ac7"),
    ),
)
