"""What is compared on the suites of graphs: STAGE and its peers, for each graph, drift and task.

All rows take as many steps. Networks that are averaged learn at the rate that is best for them. Rows of `centralised` are
without drift: there is one semantics where all data are in one place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from benchmarks.sweep import Case, Row
from client_app.data.registry import find_suite
from client_app.data.suite import GraphSuite
from concord.config import Scalar
from concord.graphs import DRIFTS, Drift, Task
from concord.scenario import Scenario

SEEDS = {"citation": tuple(range(5)), "heterophily": tuple(range(10)), "world": tuple(range(5))}  # heterophily: its ten splits
COMMON: dict[str, Scalar] = {"lr": 0.01, "clip-norm": 1e6}
RATE: dict[str, Scalar] = {"lr": 0.03}  # of networks that are averaged, STAGE's own apart: chosen in the trials
OF_SUITE: dict[str, dict[str, Scalar]] = {"citation": {"stage.neighbour-weights": False}}  # of STAGE's network, by the trials
MISSING = {"world": 0.5}  # rate at which a party lacks a modality, where there are several
WHOLE_TASK: Task = "retrieval"  # in which nobody lacks any: it asks for one modality of what is seen in another


def _network(name: str, method: str, architecture: str, settings: Mapping[str, Scalar] | None = None) -> Row:
    return Row(name, method, {"graph.architecture": architecture, **(settings or {})})


CENTRALISED = Row("centralised, GCN", "centralised")
STAGE = Row("stage", "stage")
FEDAVG = Row("fedavg, GCN", "fedavg", RATE)
FEDAVG_SAGE = _network("fedavg, GraphSAGE", "fedavg", "sage", RATE)
FEDAVG_MLP = _network("fedavg, MLP", "fedavg", "mlp", RATE)
SAME_NETWORK = _network("fedavg, homophily control", "fedavg", "stage")
FEDPROTO = Row("fedproto, GCN", "fedproto")
LOCAL_GCN = Row("local, GCN", "local")
LOCAL_MLP = _network("local, MLP", "local", "mlp")
AS_PUBLISHED = Row("centralised, GCN as published", "centralised", {"graph.hidden": 16, "rounds": 10})  # 200 steps
POOLED_ROWS = (
    CENTRALISED,
    _network("centralised, MLP", "centralised", "mlp"),
    _network("centralised, STAGE's network", "centralised", "stage"),
)
ROWS = (
    STAGE,
    FEDAVG,
    FEDAVG_SAGE,
    FEDAVG_MLP,
    SAME_NETWORK,
    FEDPROTO,
    LOCAL_GCN,
    LOCAL_MLP,
    _network("local, STAGE's network", "local", "stage"),
)
TASK_POOLED_ROWS = (CENTRALISED, _network("centralised, STAGE's network", "centralised", "stage"))
TASK_ROWS = (STAGE, FEDAVG, SAME_NETWORK, LOCAL_GCN, _network("local, STAGE's network", "local", "stage"))
RANKED: dict[str, tuple[tuple[str, Task], ...]] = {  # graphs and the tasks of which nodes are ranked
    "citation": (("cora", "links"), ("citeseer", "links")),
    "heterophily": (("texas", "links"), ("chameleon_filtered", "links")),
    "world": (("borders", "links"), ("trade", "links"), ("borders", "retrieval"), ("trade", "retrieval")),
}
NO_OWN_FEATURES = Row("no own features", "stage", {"stage.own-features": False})
NEIGHBOUR_WEIGHTS = Row("neighbours' weights", "stage", {"stage.neighbour-weights": True})
ONE_WEIGHT = Row("a node's weights for neighbours", "stage", {"stage.neighbour-weights": False})
NO_GROUNDING = Row("no grounding", "stage", {"stage.grounding-weight": 0.0})
ABLATIONS = (
    Row("no calibration", "stage", {"stage.calibration-weight": 0.0}),
    Row("no entropy", "stage", {"stage.entropy-weight": 0.0}),
    Row("no agreement", "stage", {"stage.agreement-weight": 0.0}),
    NO_OWN_FEATURES,
    Row("prior: usage", "stage", {"stage.prior": "usage"}),
    Row("no homophily control", "stage", {"stage.homophily-control": False}),
    NO_GROUNDING,
    Row("16 anchors of width 16", "stage", {"stage.width": 16}),
    Row("64 anchors of width 64", "stage", {"stage.anchors": 64, "stage.width": 64}),
)
ABLATED: tuple[Drift, ...] = ("none", "rotation")

TRIALS, TRIED = "citation-validation", "citation"
TRIAL_SEEDS = (100, 101)  # that no result uses
NO_TERMS: dict[str, Scalar] = {"stage.calibration-weight": 0.0, "stage.entropy-weight": 0.0, "stage.agreement-weight": 0.0}
LIGHT_TERMS: dict[str, Scalar] = dict.fromkeys(NO_TERMS, 0.01)
HEAVY_TERMS: dict[str, Scalar] = dict.fromkeys(NO_TERMS, 0.1)
TRIAL_ROWS = (
    STAGE,
    NO_GROUNDING,
    LOCAL_GCN,
    FEDAVG,
    Row("grounding at 1", "stage", {"stage.grounding-weight": 1.0}),
    Row("grounding at 20", "stage", {"stage.grounding-weight": 20.0}),
    Row("grounding counts like no label", "stage", {"stage.grounding-count": 0.0}),
    Row("grounding counts like 10 labels", "stage", {"stage.grounding-count": 10.0}),
    Row("grounding temperature 0.05", "stage", {"stage.grounding-temperature": 0.05}),
    Row("grounding temperature 0.2", "stage", {"stage.grounding-temperature": 0.2}),
    NO_OWN_FEATURES,
    ONE_WEIGHT,
    Row("all terms at 0.01", "stage", LIGHT_TERMS),
    Row("all terms at 0.1", "stage", HEAVY_TERMS),
    Row("no terms", "stage", NO_TERMS),
    Row("no terms, no grounding", "stage", {**NO_TERMS, **NO_GROUNDING.settings}),
    Row("anchor temperature 0.3", "stage", {"stage.anchor-temperature": 0.3}),
    Row("anchor temperature 1", "stage", {"stage.anchor-temperature": 1.0}),
    Row("16 anchors of width 16", "stage", {"stage.width": 16}),
    Row("32 anchors of width 32", "stage", {"stage.anchors": 32}),
    Row("64 anchors of width 64", "stage", {"stage.anchors": 64, "stage.width": 64}),
    Row("three layers", "stage", {"graph.layers": 3}),
    Row("no homophily control", "stage", {"stage.homophily-control": False}),
    Row("fedavg, GCN, 48 rounds of 5 steps", "fedavg", {**RATE, "rounds": 48, "local-steps": 5}),
    Row("fedavg, GCN, lr 0.01", "fedavg"),
    Row("fedavg, GCN, lr 0.1", "fedavg", {"lr": 0.1}),
    FEDAVG_SAGE,
    _network("fedavg, GraphSAGE, lr 0.01", "fedavg", "sage"),
    FEDAVG_MLP,
    _network("fedavg, MLP, lr 0.01", "fedavg", "mlp"),
    SAME_NETWORK,
    _network("fedavg, homophily control, lr 0.03", "fedavg", "stage", RATE),
    Row("stage, lr 0.03", "stage", RATE),
    Row("local, GCN, lr 0.03", "local", RATE),
    FEDPROTO,
    Row("fedproto, GCN, weight 0.1", "fedproto", {"fedproto.weight": 0.1}),
    Row("fedproto, GCN, weight 10", "fedproto", {"fedproto.weight": 10.0}),
)
DRIFT_TRIAL_ROWS = (
    STAGE,
    NO_OWN_FEATURES,
    ONE_WEIGHT,
    Row("calibration at 0.01 alone", "stage", {**NO_TERMS, "stage.calibration-weight": 0.01}),
    Row("entropy at 0.01 alone", "stage", {**NO_TERMS, "stage.entropy-weight": 0.01}),
    Row("agreement at 0.01 alone", "stage", {**NO_TERMS, "stage.agreement-weight": 0.01}),
    Row("all terms at 0.01", "stage", LIGHT_TERMS),
    Row("no terms", "stage", NO_TERMS),
    LOCAL_GCN,
    FEDAVG,
    FEDAVG_SAGE,
)
TRIALS_UNDER: dict[Drift, tuple[Row, ...]] = {"none": TRIAL_ROWS, "rotation": DRIFT_TRIAL_ROWS, "encoder": DRIFT_TRIAL_ROWS}


def case(suite: str, row: Row, scenario: str, seed: int) -> Case:
    """A run of the comparison: rows with STAGE's network have what suits the graphs of the suite, unless they are about it."""
    has_it = row.method == "stage" or row.settings.get("graph.architecture") == "stage"
    settings = {**(OF_SUITE.get(suite, {}) if has_it else {}), **row.settings}
    return Case(suite, replace(row, settings=settings), scenario, seed, COMMON)


def ablations_of(suite: str) -> tuple[Row, ...]:
    """Rows with an ingredient of `stage` left out or replaced."""
    return (*ABLATIONS, NEIGHBOUR_WEIGHTS if suite in OF_SUITE else ONE_WEIGHT)


def graphs_of(suite: str) -> tuple[str, ...]:
    """Names of the graphs of a suite."""
    found = find_suite(suite)
    if not isinstance(found, GraphSuite):
        raise TypeError(f"suite {suite} is not of graphs")
    return tuple(graph.name for graph in found.graphs)


def scenario(suite: str, graph: str, drift: Drift = "none", task: Task = "classes", *, whole: bool = False) -> str:
    """The scenario of a graph under a drift, with a task; `whole`: no party lacks a modality."""
    missing = 0.0 if whole or task == WHOLE_TASK else MISSING.get(suite, 0.0)
    return str(Scenario(graph=graph, drift=drift, task=task, missing=missing))


def method_cases(suite: str) -> Callable[[], Iterator[Case]]:
    """Every run of the comparison on a suite, seed by seed."""

    def cases() -> Iterator[Case]:
        for seed in SEEDS[suite]:
            for graph, whole in settings_of(suite):
                for row in pooled_rows(suite):
                    yield case(suite, row, scenario(suite, graph, whole=whole), seed)
                for drift in DRIFTS:
                    for row in ROWS:
                        yield case(suite, row, scenario(suite, graph, drift, whole=whole), seed)
            for graph, task in RANKED[suite]:
                for row in TASK_POOLED_ROWS:
                    yield case(suite, row, scenario(suite, graph, task=task), seed)
                for drift in DRIFTS:
                    for row in TASK_ROWS:
                        yield case(suite, row, scenario(suite, graph, drift, task), seed)

    return cases


def pooled_rows(suite: str) -> tuple[Row, ...]:
    """Rows with all data in one place; where there are published figures, also the network that they are of."""
    return (*POOLED_ROWS, AS_PUBLISHED) if suite == "citation" else POOLED_ROWS


def settings_of(suite: str) -> Iterator[tuple[str, bool]]:
    """Graphs on which classes are told, and whether no party lacks a modality: the first graph both ways, where that differs."""
    for graph in graphs_of(suite):
        yield graph, False
    if suite in MISSING:
        yield graphs_of(suite)[0], True


def trial_cases() -> Iterator[Case]:
    """Every run that settings were chosen by, on the nodes for validation."""
    for drift in DRIFTS:
        yield from trials_under(drift)


def trials_under(drift: Drift) -> Iterator[Case]:
    """Those under one drift."""
    for seed in TRIAL_SEEDS:
        for row in TRIALS_UNDER[drift]:
            yield Case(TRIED, row, scenario(TRIED, graphs_of(TRIED)[0], drift), seed, COMMON)


def ablation_cases(suite: str) -> Callable[[], Iterator[Case]]:
    """Every run of the ablations of STAGE, on the first graph of the suite."""

    def cases() -> Iterator[Case]:
        for seed in SEEDS[suite]:
            for drift in ABLATED:
                for row in ablations_of(suite):
                    yield case(suite, row, scenario(suite, graphs_of(suite)[0], drift), seed)

    return cases
