"""What a round of STAGE leaves for the pictures of its prototypes, and the pictures, by hand."""

from __future__ import annotations

import math
import re

import pytest
import torch

from concord.config import RunConfig
from concord.run_folder import Line
from concord.wire.moments import moments_to_wire
from concord.wire.v1 import federation_pb2 as pb
from server_app import semantic_lines as module
from server_app.report.prototypes import PrototypePictures, prototype_pictures
from server_app.report.run_view import Run
from server_app.report.scatter import SIDE
from server_app.semantic_lines import semantic_lines
from strategies.checks.reply import Accepted
from strategies.state import Outcome

EAST, NORTH = [1.0, 0.0], [0.0, 1.0]
AGREED = {"prototypes": torch.tensor([[2.0, 0.0], [0.0, 3.0], [9.0, 9.0]]), "masses": torch.tensor([5.0, 4.0, 0.0])}
CONFIG = RunConfig(method="stage", rounds=9)


def outcome(*, kept_old_model: bool = False, **parties: tuple[list[list[float]], list[float]]) -> Outcome:
    """Of parties by name that tell means and masses."""
    reports = [pb.Report(node=n, moments=moments_to_wire(torch.tensor(m), torch.tensor(w))) for n, (m, w) in parties.items()]
    accepted = tuple(Accepted(pb.Census(node=report.node), report, {}) for report in reports)
    return Outcome(tuple(parties), accepted, (), {}, kept_old_model, {}, {})


TWO = outcome(
    a=([[4.0, 0.0], [0.0, 0.0], [0.0, 0.0]], [3.0, 0.0, 0.0]), b=([[0.0, 5.0], [0.0, 5.0], [0.0, 0.0]], [2.0, 4.0, 0.0])
)


def test_the_first_and_the_last_round_say_where_everybody_is() -> None:
    for round_ in (1, 9):
        a, b, table = semantic_lines(TWO, CONFIG, AGREED, round_)
        assert a == {
            "scope": "moments",
            "round": round_,
            "node": "a",
            "anchors": [0],
            "masses": [3.0],
            "directions": [EAST],
        }
        assert (b["anchors"], b["masses"], b["directions"]) == ([0, 1], [2.0, 4.0], [NORTH, NORTH])
        assert (table["anchors"], table["masses"], table["directions"]) == ([0, 1], [5.0, 4.0], [EAST, NORTH])
        assert table["distance"] == pytest.approx(2 * math.sqrt(2) / 9)


def test_the_rounds_between_say_how_far_parties_are_from_the_table() -> None:
    assert semantic_lines(TWO, CONFIG, AGREED, 4) == [
        {"scope": "table", "round": 4, "distance": pytest.approx(2 * math.sqrt(2) / 9)}
    ]


def test_answers_by_class_means_are_told_with_the_table() -> None:
    answers = {"answers/a": torch.tensor([5, 4, 3, 2]), "answers/b": torch.tensor([5, 4, 1, 5])}
    line = {"scope": "grounding", "round": 4, "asked": 10, "right": 8, "right-alone": 4, "right-bare": 7}
    assert semantic_lines(TWO, CONFIG, {**AGREED, **answers}, 4)[1:] == [line]
    silent = Outcome(("a",), (Accepted(pb.Census(node="a"), pb.Report(node="a"), {}),), (), {}, False, {}, {})
    assert semantic_lines(silent, CONFIG, answers, 4) == [line]


def test_a_round_that_kept_the_old_table_and_a_method_without_one_say_nothing() -> None:
    kept = outcome(kept_old_model=True, a=([EAST, NORTH, EAST], [1.0, 1.0, 1.0]))
    assert semantic_lines(kept, CONFIG, AGREED, 1) == []
    silent = Outcome(("a",), (Accepted(pb.Census(node="a"), pb.Report(node="a"), {}),), (), {}, False, {}, {})
    assert semantic_lines(silent, CONFIG, {}, 1) == []


def test_of_a_large_space_the_heaviest_anchors_alone_are_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_VALUES", 7)  # three sets of one anchor and width 2
    _, b, table = semantic_lines(TWO, CONFIG, AGREED, 1)
    assert table["anchors"] == b["anchors"] == [0]
    monkeypatch.setattr(module, "MOST_VALUES", 12)
    assert semantic_lines(TWO, CONFIG, AGREED, 1)[-1]["anchors"] == [0, 1]


def test_what_a_party_tells_at_an_anchor_that_has_no_prototype_is_not_drawn() -> None:
    tiny = outcome(a=([EAST, NORTH, EAST], [1.0, 1.0, 1e-9]))
    assert semantic_lines(tiny, CONFIG, AGREED, 1)[0]["anchors"] == [0, 1]


def pictures(lines: list[Line]) -> PrototypePictures:
    found = prototype_pictures(Run({"method": "stage", "rounds": 9}, lines, None))
    assert found
    return found


def round_of(round_: int, distance: float, **parties: list[float]) -> list[Line]:
    """Parties by name at one anchor, and the table."""
    told = [
        {"scope": "moments", "round": round_, "node": n, "anchors": [6], "masses": [1.0], "directions": [d]}
        for n, d in parties.items()
    ]
    table = {"anchors": [6], "masses": [float(len(parties))], "directions": [[0.6, 0.8, 0.0]]}
    return [*told, {"scope": "table", "round": round_, "distance": distance, **table}]


BEFORE = round_of(1, 1.25, b=[1.0, 0.0, 0.0], a=[0.0, 1.0, 0.0])
BETWEEN: list[Line] = [{"scope": "table", "round": 5, "distance": 1.0}]
AFTER = round_of(9, 0.5, b=[0.8, 0.6, 0.0], a=[0.6, 0.8, 0.0])


def places(chart: str) -> dict[str, tuple[float, float]]:
    """Where the point of each party is."""
    found = re.findall(r"translate\(([\d.]+) ([\d.]+)\) scale\([\d.]+\)\"[^>]*><title>(\w+), anchor 6", chart)
    return {name: (float(x), float(y)) for x, y, name in found}


def test_both_pictures_have_the_same_axes_so_that_parties_are_seen_to_come_closer() -> None:
    found = pictures([*BEFORE, *BETWEEN, *AFTER])
    assert [caption for caption, _ in found.pictures] == ["Before: round 1", "After: round 9"]
    assert [name for name, _ in found.legend] == ["a", "b", "merged"]
    assert found.distances == [(1, 1.25), (9, 0.5)]
    assert "<title>distance, round 5: 1.00</title>" in found.course
    apart = []
    for _, chart in found.pictures:
        (ax, ay), (bx, by) = places(chart)["a"], places(chart)["b"]
        assert ay == pytest.approx(by, abs=0.2), "they differ along the first axis alone"
        apart.append(abs(ax - bx))
        assert chart.count('class="tie"') == 2
    assert apart[1] / apart[0] == pytest.approx(0.2, abs=0.01)
    assert "of the variance" in found.pictures[0][1]


def test_a_run_that_goes_on_has_the_picture_of_its_first_round() -> None:
    found = pictures([*BEFORE, *BETWEEN])
    assert [caption for caption, _ in found.pictures] == ["Before: round 1"]
    assert found.distances == [(1, 1.25)]


def test_a_run_that_was_given_more_rounds_is_drawn_at_its_two_ends() -> None:
    more = round_of(12, 0.25, b=[0.6, 0.8, 0.0], a=[0.6, 0.8, 0.0])
    assert [caption for caption, _ in pictures([*BEFORE, *AFTER, *more]).pictures] == ["Before: round 1", "After: round 12"]


def test_a_run_whose_first_round_kept_the_old_table_is_drawn_at_its_end_alone() -> None:
    assert [caption for caption, _ in pictures([*BETWEEN, *AFTER]).pictures] == ["After: round 9"]


def test_points_that_are_all_in_one_place_are_drawn_in_the_middle() -> None:
    ((_, chart),) = pictures(round_of(1, 0.0, a=[0.6, 0.8, 0.0])).pictures
    assert places(chart) == {"a": (SIDE / 2, SIDE / 2)}
    assert f'class="merged" cx="{SIDE / 2:g}" cy="{SIDE / 2:g}"' in chart


def test_without_a_round_that_counted_there_is_nothing_to_draw() -> None:
    assert prototype_pictures(Run({"method": "stage"}, [], None)) is None
    assert prototype_pictures(Run({"method": "stage"}, BETWEEN, None)) is None
