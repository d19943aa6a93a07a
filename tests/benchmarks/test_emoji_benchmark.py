"""Retrieval of held-out emoji: what chance gives, that a perfect model finds everything, and the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.emoji.cases import METHOD_ROWS, method_cases
from benchmarks.emoji.contrastive import known_rows, run_contrastive
from benchmarks.emoji.held_out import expected_average_precision, scores
from benchmarks.emoji.tables import PAIRS, headlines, results_block, whole_page
from client_app.data.corpus import make_corpus
from concord.config import parse_config


@pytest.mark.parametrize(("relevant", "size"), [(1, 20), (4, 15), (7, 7), (1, 1)])
def test_chance_is_what_random_rankings_give_on_average(relevant: int, size: int) -> None:
    draws = np.random.default_rng(0)
    found = []
    for _ in range(4000):
        rank = np.sort(draws.permutation(size)[:relevant]) + 1
        found.append((np.arange(1, relevant + 1) / rank).mean())
    assert np.mean(found) == pytest.approx(expected_average_precision(relevant, size), rel=0.03)


def test_a_model_that_knows_every_concept_finds_it_and_one_that_knows_nothing_does_as_chance() -> None:
    concept_N, subgroup_N = torch.arange(200), torch.arange(200) // 10
    known = scores(torch.eye(200), torch.eye(200), (subgroup_N, subgroup_N), (concept_N, concept_N))
    assert known["concept-map"] == 1
    assert known["subgroup-chance"] == pytest.approx(0.05)
    generator = torch.Generator().manual_seed(0)
    query_ND, gallery_MD = torch.randn((2, 200, 8), generator=generator).unbind()
    blind = scores(query_ND, gallery_MD, (subgroup_N, subgroup_N), (concept_N, concept_N))
    assert blind["subgroup-precision-at-10"] == pytest.approx(blind["subgroup-chance"], abs=0.02)
    assert blind["concept-map"] == pytest.approx(blind["concept-chance"], abs=0.02)


def test_queries_without_an_answer_are_left_out() -> None:
    concept, subgroup = (torch.tensor([0, 7]), torch.tensor([0, 1])), (torch.tensor([0, 1]), torch.tensor([0, 1]))
    assert scores(torch.eye(2), torch.eye(2), subgroup, concept)["concept-map"] == 1


def test_pairs_of_held_out_concepts_are_not_trained_on() -> None:
    owners = ["part-0", "part-2/en", "part-1/de", "part-2/de"]
    corpus = make_corpus(torch.zeros(4, 1), [0, 0, 0, 0], ["noto/0000", "text/0001/en", "text/0002/de", "text/0001/de"], owners)
    assert dict(known_rows(corpus)) == {1: [1, 3]}


def test_contrastive_training_gives_a_figure_of_every_pair(emoji_pack: Path) -> None:
    settings = {"adapter.kind": "full", "rounds": 1, "local-steps": 2, "batch-size": 8, "model.width": 16}
    figures = run_contrastive(parse_config({"suite": "emoji", "data": str(emoji_pack), **settings}))["held-out"]
    assert figures.keys() == set(PAIRS)
    assert all(0 < value < 1 for found in figures.values() for value in found.values())


def test_the_page_has_a_row_a_method_and_one_of_chance() -> None:
    names = ("subgroup-precision-at-10", "subgroup-chance", "concept-map", "concept-chance")
    run = {"held-out": {pair: dict.fromkeys(names, 0.25) for pair in PAIRS}, "cpu-seconds": 3.0}
    page = whole_page({next(iter(method_cases())).key: run})
    assert page.count("| chance | 0.250 |") == 2
    assert page.count(f"| {METHOD_ROWS[0].name} | 0.250 |") == 2
    assert page.count("| geolora | – |") == 2


def test_results_and_readme_show_figures_beside_chance() -> None:
    names = ("subgroup-precision-at-10", "concept-map")
    by_chance, results = dict.fromkeys(("subgroup-chance", "concept-chance"), 0.02), {}
    for case in method_cases():
        found = dict.fromkeys(names, 0.3 + case.seed / 100) | by_chance
        results[case.key] = {"held-out": dict.fromkeys(PAIRS, found), "cpu-seconds": 3.0}
    assert "| geolora | 0.320 ± 0.020 |" in results_block(results)
    to_names, to_pictures = headlines(results)
    assert to_names.question.endswith("(chance 0.020)")
    assert to_names.ours == to_pictures.ours == "geolora 0.320 ± 0.020"
    assert to_names.beside.startswith("fedavg 0.320")
    assert list(headlines({})) == []
