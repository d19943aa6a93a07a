"""Bins of homophily of all parties together, and the curves that are drawn of them."""

from __future__ import annotations

import re

from concord.wire.v1 import federation_pb2 as pb
from server_app.report.panels import homophily_charts
from server_app.report.run_view import Run
from server_app.semantic_lines import homophily_lines

ONE = pb.Report(
    homophily=[
        pb.HomophilyBin(bin=2, nodes=5, temperature=0.5, gate=0.25),
        pb.HomophilyBin(bin=9, nodes=10, temperature=1.0, gate=0.5),
    ]
)
OTHER = pb.Report(homophily=[pb.HomophilyBin(bin=9, nodes=30, temperature=2.0, gate=0.75)])


def test_a_bin_has_the_mean_over_the_nodes_of_all_parties() -> None:
    assert homophily_lines([ONE, pb.Report(), OTHER], 7) == [
        {"scope": "homophily", "round": 7, "bin": 2, "nodes": 5, "temperature": 0.5, "gate": 0.25},
        {"scope": "homophily", "round": 7, "bin": 9, "nodes": 40, "temperature": 1.75, "gate": 0.6875},
    ]
    assert homophily_lines([pb.Report()], 7) == []


def test_curves_lead_over_the_bins_that_parties_told_of() -> None:
    charts = dict(homophily_charts(Run({"method": "stage", "rounds": 6}, homophily_lines([ONE, OTHER], 7), None)))
    assert list(charts) == ["Temperature", "Gate", "Nodes"]
    told = {name: re.findall(r"<title>\w+, [\w ]+ % (\d+): ([\d.]+)</title>", chart) for name, chart in charts.items()}
    assert told["Temperature"] == [("25", "0.50"), ("95", "1.75")]
    assert told["Gate"] == [("25", "0.25"), ("95", "0.69")]
    assert told["Nodes"] == [("25", "5"), ("95", "40")]
    (path,) = re.findall(r' d="([^"]*)"', charts["Temperature"])
    assert (path.count("M"), path.count("L")) == (1, 1)
    assert all(f">{percent}</text>" in charts["Gate"] for percent in range(10, 100, 10)), "the whole axis"


def test_without_bins_there_is_nothing_to_draw() -> None:
    assert homophily_charts(Run({"method": "stage", "rounds": 6}, [], None)) == []
