"""The comparison: which runs stand for which, and tables from figures computable by hand."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest

from benchmarks import __main__ as benchmarks_main
from benchmarks import strokes
from benchmarks.__main__ import COMPARISONS
from benchmarks.activity import cases as activity
from benchmarks.activity import tables as activity_tables
from benchmarks.agents import cases as agents
from benchmarks.agents import tables as agent_tables
from benchmarks.digits.cases import (
    METHOD_ROWS,
    MODALITIES,
    NODES,
    SCENARIOS,
    STANDS_FOR,
    ablation_cases,
    method_cases,
)
from benchmarks.digits.tables import aims, headlines, results_block, seed_values, whole_page
from benchmarks.emoji.cases import CONTRASTIVE
from benchmarks.graphs import aims as graph_aims
from benchmarks.graphs import cases as graphs
from benchmarks.graphs import summary as graph_summary
from benchmarks.graphs import tables as graph_tables
from benchmarks.headlines import headline_table
from benchmarks.markdown import cell, difference, replace_block, table
from benchmarks.sweep import SEEDS, Case, Figures, read_results
from client_app.data.activity import ACTIVITY
from client_app.data.digits import DIGITS
from concord.config import parse_config
from concord.graphs import DRIFTS, GRAPHS
from concord.kinds import SLICES, alone, without
from strategies.registry import check_method

ACCURACY = {"geolora": 0.95, "anchors-only": 0.75, "fedavg": 0.94, "centralised": 0.96, "local": 0.9}


def figures(method: str, seed: int) -> Figures:
    accuracy = ACCURACY.get(method, 0.5) + 0.01 * (seed - 2)
    splits = {split: {m: {"accuracy": accuracy, "examples": 100} for m in MODALITIES} for split in ("random", "unseen")}
    pairs = {f"{a}->{b}": {"precision-at-10": accuracy - 0.1, "map": 0.5} for a, b in permutations(MODALITIES, 2)}
    return {
        "accuracy": splits,
        "retrieval": {"random": {"pooled": pairs, "anchor-coordinates": pairs}},
        "cka": {"|".join(sorted(pair)): 0.9 for pair in permutations(MODALITIES, 2)},
        "bytes": {"up-per-node-round": 2000.0, "down-per-node-round": 3000.0},
        "seconds": {"total": 30.0},
        "cpu-seconds": 29.0,
    }


@pytest.fixture
def results() -> dict[str, Figures]:
    cases = [*method_cases(), *ablation_cases()]
    return {case.key: figures(case.row.method, case.seed) for case in cases}


def test_every_row_and_scenario_is_run_or_stood_for() -> None:
    run = {(case.row.name, case.scenario) for case in method_cases()}
    for row in METHOD_ROWS:
        for scenario in SCENARIOS:
            assert STANDS_FOR.get((row.name, scenario), (row.name, scenario)) in run


@pytest.mark.parametrize("suite", COMPARISONS)
def test_a_case_is_run_once_with_settings_that_make_sense(suite: str) -> None:
    cases = [*COMPARISONS[suite].methods(), *COMPARISONS[suite].ablations()]
    assert len(cases) == len({case.key for case in cases})
    for case in cases:
        assert case.suite == (graphs.TRIED if suite == graphs.TRIALS else suite)
        config = parse_config({"method": case.row.method, "suite": case.suite, **case.common, **case.row.settings})
        if config.method != CONTRASTIVE:
            check_method(config)


def test_the_number_of_nodes_is_that_of_the_suite() -> None:
    assert sum(len(modality.nodes) for modality in DIGITS.modalities) == NODES


def test_values_come_in_the_order_of_seeds_from_the_run_that_stands_for_the_row(results: dict[str, Figures]) -> None:
    row = next(row for row in METHOD_ROWS if row.name == "anchors-only")
    values = seed_values(results, row, "disjoint-labels", lambda f: f["accuracy"]["random"]["speech"]["accuracy"])
    assert values == pytest.approx([0.73, 0.74, 0.75, 0.76, 0.77])


def test_cells_by_hand() -> None:
    # mean 2, standard error 1/sqrt(3), Student t 4.3027 with two degrees of freedom
    assert cell([1.0, 2.0, 3.0]) == "2.000 ± 2.484"
    assert cell([]) == "–"
    assert cell([1500.0], 1000, 1) == "1.5"
    assert difference([2.0, 3.0, 4.0], [1.0, 2.0, 3.0]) == "+1.000 ± 0.000"
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_aims_are_computed(results: dict[str, Figures]) -> None:
    reached = {name: value for name, _, value in aims(results)}
    assert reached["`unlabelled=speech`: speech accuracy at least 0.90"] is True
    assert reached["`local-heads`: P@10 in pooled at least 0.90"] is False
    assert reached["`labelled`: word within 2 points of `centralised`"] is True
    assert {value for _, _, value in aims({})} == {None}


def test_headlines_of_digits(results: dict[str, Figures]) -> None:
    speech, *retrieval = headlines(results)
    assert speech.ours == "geolora 0.950 ± 0.020"
    assert speech.beside.startswith("fedavg ")
    assert len(retrieval) == 2


def test_the_committed_tables_are_those_of_the_committed_figures() -> None:
    pages = (Path(benchmarks_main.__file__).parent / "results").glob("*.md")
    texts = [path.read_text() for path in (benchmarks_main.README, benchmarks_main.RESULTS, *pages)]
    for suite, comparison in COMPARISONS.items():
        if found := read_results(benchmarks_main.path_of(suite)):
            assert any(comparison.whole_page(found) == text for text in texts), f"run `python -m benchmarks {suite}`"
            assert comparison.block is None or any(comparison.block(found) in text for text in texts)
    assert headline_table(benchmarks_main.all_headlines()) in texts[0]


def test_the_readme_keeps_all_but_the_block(results: dict[str, Figures], tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    begin, end = "<!-- digits:begin -->", "<!-- digits:end -->"
    readme.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    replace_block(readme, "digits", results_block(results))
    text = readme.read_text()
    assert text.startswith(f"before\n{begin}\n")
    assert text.endswith(f"{end}\nafter\n")
    assert "old" not in text
    assert "| geolora | 0.950 ± 0.020 |" in text


def activity_figures(row: str, seed: int) -> Figures:
    fused = {"fedmchain": 0.9, "joint": 0.8}.get(row, 0.85) + 0.01 * (seed - 2)
    accuracy = {"fused": {"accuracy": fused, "macro-f1": fused - 0.1}}
    accuracy |= {m: {"accuracy": fused - 0.1 * rank, "macro-f1": 0.5} for rank, m in enumerate(activity.SENSORS, start=1)}
    sent = 1000.0 if row == "fedmchain" else 40_000.0
    return {
        "accuracy": {"unseen": accuracy},
        "bytes": {"up-per-node-round": sent, "down-per-node-round": 50_000.0},
        "curve": [0.1, 0.5, 0.75, fused] if row == "fedmchain" or seed else [0.1, 0.2, 0.3, 0.4],
        "cpu-seconds": 60.0,
    }


def test_tables_and_aims_of_suite_activity() -> None:
    cases = [*activity.method_cases(), *activity.ablation_cases()]
    results = {case.key: activity_figures(case.row.name, case.seed) for case in cases}
    reached = {name: value for name, _, value in activity_tables.aims(results)}
    assert reached["rate 0.5: weakest sensor at least 3 points above joint training"] is True
    assert reached["rate 0.5: fused accuracy above `late fusion` by more than the interval"] is True
    assert reached["rate 0.5: fused accuracy above `late fusion` at equal bytes up by more than the interval"] is True
    assert reached["rate 0.3: 30 times fewer bytes up than dense `joint` for at most 1 point"] is True
    assert "| fedmchain | 0.900 ± 0.020 | 0.800 ± 0.020 |" in activity_tables.results_block(results)
    at_cost, attacked, by_itself = activity_tables.headlines(results)
    assert by_itself.ours == "fedmchain 0.600 ± 0.020"
    assert at_cost.ours == "fedmchain 0.900 ± 0.020 for 3 kB"
    assert at_cost.beside == "joint 0.800 ± 0.020 for 120 kB; late fusion 0.850 ± 0.020 for 120 kB"
    assert attacked.beside == "joint +0.000 ± 0.000"
    assert list(activity_tables.headlines({})) == []
    page = activity_tables.whole_page(results)
    assert "40 times fewer, +0.100 ± 0.000" in page
    assert "| fedmchain | 3 ± 0 | 150 ± 0 | 2 ± 0 | 100 ± 0 | 0.900 ± 0.020 | 60 ± 0 |" in page
    # 3 of 40 kB are 0.075 rounds: 0.13 in four seeds, 0.1075 in one
    at_equal_bytes = "0.126 ± 0.012"
    assert f"| 80 ± 0 (4 of 5 seeds) | 100 ± 0 (4 of 5 seeds) | {at_equal_bytes} | 60 ± 0 |" in page
    assert {value for _, _, value in activity_tables.aims({})} == {None}
    assert len(ACTIVITY.nodes) * 20 == activity.CENTRALISED_STEPS


def agent_figures(row: str, seed: int) -> Figures:
    base = {"parse": 0.8, "alone": 0.6, "harmony, two stages": 0.81}.get(row, 0.7) + 0.01 * (seed - 2)
    accuracy = {kind: base + 0.05 * place for place, kind in enumerate(agent_tables.KINDS)}
    accuracy |= {without(kind, s): base - 0.1 for kind in agent_tables.KINDS for s in SLICES}
    accuracy |= {alone(kind, s): base - 0.2 for kind in agent_tables.KINDS for s in SLICES}
    return {
        "accuracy": {"unseen": {name: {"accuracy": value} for name, value in accuracy.items()}},
        "bytes": {"up-per-node-round": 4000.0, "per-link-round": 2000.0, "links": 32},
        "cpu-seconds": 20.0,
    }


def test_tables_and_aims_of_agents() -> None:
    cases = [*agents.method_cases(), *agents.ablation_cases()]
    results = {case.key: agent_figures(case.row.name, case.seed) for case in cases}
    page = agent_tables.whole_page(results)
    parse = "0.800 ± 0.020 | 0.850 ± 0.020 | 0.900 ± 0.020"
    assert page.count(f"| parse | {parse} | 2 ± 0 | 4 ± 0 | 20 ± 0 |") == 2 * len(agents.MIXES)
    assert f"| parse | 5 | {parse} |" in page
    assert "| without unique | 0.700 ± 0.020 | 0.700 ± 0.020 | 0.700 ± 0.020 |" in page
    assert "| synergistic alone | 0.600 ± 0.020 |" in page
    block = agent_tables.results_block(results)
    assert "| 25% multimodal, gyroscope: above `alone` by more than the interval | +0.200 ± 0.000 | reached |" in block
    assert "above `harmony, two stages` by more than the interval | -0.010 ± 0.000 | not reached |" in block
    best = agent_tables.headlines(results)
    assert [one.ours for one in best] == [f"parse {figure}" for figure in parse.split(" | ")]
    assert list(agent_tables.headlines({})) == []
    assert "| parse | – | – | – |" in agent_tables.whole_page({})
    assert "reached" not in agent_tables.aims_table({})


def test_tables_of_strokes() -> None:
    def figures_of(case: Case) -> Figures:
        fused = {"fedmchain": 0.5, "joint": 0.4}.get(case.row.name, 0.3) + 0.01 * (case.seed - 2)
        rounds = 6 if case.row.name == "fedmchain" else 12
        accuracy = {name: {"accuracy": fused - 0.1 * name.count("image")} for name in (*strokes.COLUMNS, *strokes.KINDS)}
        traffic = {"up-per-node-round": 2500.0, "per-link-round": 1000.0}
        return {"accuracy": {"unseen": accuracy}, "bytes": traffic, "curve": [0.1] * (rounds + 1), "cpu-seconds": 20.0}

    page = strokes.page({case.key: figures_of(case) for case in (*strokes.server_cases(), *strokes.agent_cases())})
    shown = "0.500 ± 0.020 | 0.400 ± 0.020 | 0.500 ± 0.020"
    assert f"| fedmchain | {shown} | +0.100 ± 0.000 | 15 ± 0 | 20 ± 0 |" in page
    assert "| joint | 0.400 ± 0.020 | 0.300 ± 0.020 | 0.400 ± 0.020 |  | 30 ± 0 | 20 ± 0 |" in page
    assert "| method | image | pen | image+pen |" in strokes.page({})
    assert "| parse | 0.200 ± 0.020 | 0.300 ± 0.020 | 0.200 ± 0.020 | 1 ± 0 | 2 ± 0 | 20 ± 0 |" in page


def graph_figures(row: str, scenario: str, seed: int) -> Figures:
    base = {"stage": 0.75, "centralised, GCN": 0.81}.get(row, 0.7 - 0.1 * ("drift" in scenario)) + 0.001 * (seed % 5 - 2)
    absent = {f"fused without {m}": {"accuracy": base - 0.05} for m in ("flag", "outline", "text", "numbers")}
    return {
        "accuracy": {"test": {"fused": {"accuracy": base}, **absent}},
        "ranking": {
            "test": {
                "a->b": {"mrr": base - 0.1, "hits-at-1": base - 0.4, "hits-at-10": base, "chance": 0.2},
                "b->a": {"mrr": base - 0.3, "hits-at-1": base - 0.4, "hits-at-10": base, "chance": 0.2},
            }
        },
        "bytes": {"up-per-node-round": 2000.0 if row == "stage" else 320_000.0, "down-per-node-round": 1000.0},
        "cpu-seconds": 5.0,
    }


def test_tables_and_aims_of_graphs() -> None:
    for suite in GRAPHS:
        comparison = COMPARISONS[suite]
        cases = [*comparison.methods(), *comparison.ablations()]
        results = {case.key: graph_figures(case.row.name, case.scenario, case.seed) for case in cases}
        assert {value for _, _, value in graph_aims.aims({}, suite)} == {None}
        page = comparison.page(results)
        assert "| stage | 0.750 ± 0.00" in page
        reached = {name: value for name, _, value in graph_aims.aims(results, suite)}
        graph = graphs.graphs_of(suite)[0]
        assert reached[f"{graph}, drift rotation: above `fedavg, GCN` by more than the interval"] is True
        assert reached[f"{graph}, drift rotation: above the best network that is averaged"] is True
        assert reached[f"{graph}, drift encoder: 150 times fewer bytes a round than `fedavg, GCN`"] is False  # 321 / 3 = 107
        if suite == "heterophily":
            assert reached[f"{graph}, drift none: not below the better of `local, MLP` and `fedavg, MLP`"] is True
        else:
            assert reached[f"{graph}, drift none: within 2 points of `centralised, GCN`"] is False
        for ranked, task in graphs.RANKED[suite]:
            assert f"## `{ranked}`, task `{task}`" in page
            assert reached[f"{ranked}, drift rotation, {task}: 150 times fewer bytes a round than `fedavg, GCN`"] is False
            assert reached[f"{ranked}, drift encoder, {task}: above `fedavg, GCN` by more than the interval"] is True
        assert "| stage | 0.550 ± 0.00" in page
        plain, turned, encoded = graph_tables.headlines_of(suite)(results)
        assert "encoder" in encoded.question
        assert f"`{graph}`" in plain.question
        assert plain.ours.startswith("stage 0.750 ± 0.00")
        assert turned.ours.endswith(" for 2.0 kB")
        assert plain.beside.startswith("fedavg, GCN 0.700 ± 0.00")
        assert turned.beside.startswith("fedavg, GCN 0.600 ± 0.00")
        assert list(graph_tables.headlines_of(suite)({})) == []
        assert "0.200 ± 0.000 MRR by chance" in page
        block = graph_summary.results_block_of(suite)(results)
        assert block.count("| stage | 0.750 ± 0.00") == len(DRIFTS)
        asked = len(graphs.graphs_of(suite)) + len(graphs.RANKED[suite])
        missed = f"{graph}, drift none; {graph}, drift encoder; {graph}, drift rotation"
        assert f"| 150 times fewer bytes a round than `fedavg, GCN` | 0 of {3 * asked} | {missed}" in block
        assert f"| above `fedavg, GCN` by more than the interval | {2 * asked} of {2 * asked} |  |" in block
        assert "| 0 of 0 |  |" in graph_summary.results_block_of(suite)({})
        assert ("without flag" in page) == ("no party lacks a modality" in page) == (suite == "world")
        assert suite != "world" or "| stage | 0.750 ± 0.002 | 0.700 ± 0.002 | -0.050 ± 0.000 |" in page
        assert reached.get("cora: centralised GCN at 0.815, plus or minus one point", True) is True


def test_trials_are_means_without_intervals() -> None:
    first, second, *_ = (case for case in agents.trial_cases() if case.row == agents.PARSE)
    results = {case.key: agent_figures("parse", seed) for seed, case in enumerate((first, second))}
    page = agent_tables.trials_page(results)
    assert "| parse | 2 | 0.785 | 0.835 | 0.885 |" in page
    assert "| no contrast | 0 | – | – | – |" in page
    traffic = {"bytes": {"up-per-node-round": 2500.0, "down-per-node-round": 0.0}}
    found = {case.key: {"accuracy": {"validation": {"fused": {"accuracy": 0.5}}}, **traffic} for case in graphs.trial_cases()}
    assert "| no terms | 2 | 0.500 | 2.5 |" in graph_tables.trials_page(found)


def test_a_page_of_no_results_and_the_committed_one() -> None:
    assert "| geolora | – |" in whole_page({})
    for suite, comparison in COMPARISONS.items():
        committed = Path(__file__).parents[2] / "benchmarks" / "results" / f"{suite}.jsonl"
        if not committed.exists():
            continue
        assert set(read_results(committed)) <= {case.key for case in (*comparison.methods(), *comparison.ablations())}
    assert len(SEEDS) == 5
