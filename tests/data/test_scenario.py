"""The words of a scenario: what is read, what is refused, and why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client_app.data.registry import SUITES, find_suite
from concord.config import RunConfig
from concord.errors import ConcordError
from concord.scenario import Scenario, parse_scenario

SENSORS = ("accelerometer", "gyroscope")


@pytest.mark.parametrize(
    ("text", "scenario"),
    [
        ("labelled", Scenario()),
        ("unlabelled=gyroscope", Scenario("unlabelled", "gyroscope")),
        ("disjoint-labels", Scenario("disjoint-labels")),
        ("missing=0", Scenario()),
        ("missing=0.5", Scenario(missing=0.5)),
        ("skew=0.3", Scenario(skew=0.3)),
        ("missing=0.5+skew=3e-1", Scenario(missing=0.5, skew=0.3)),
        ("skew=0.3+missing=.5", Scenario(missing=0.5, skew=0.3)),
        ("labelled+missing=0.3", Scenario(missing=0.3)),
        ("local-heads+missing=0.3", Scenario("local-heads", missing=0.3)),
        ("multimodal=1", Scenario()),
        ("multimodal=0.25", Scenario(multimodal=0.25)),
        ("unbalanced+multimodal=.5", Scenario(multimodal=0.5, unbalanced=True)),
        ("multimodal=1+unbalanced", Scenario(multimodal=1, unbalanced=True)),
        ("multimodal=0.5+skew=0.3+local-heads", Scenario("local-heads", multimodal=0.5, skew=0.3)),
        ("graph=citeseer+drift=rotation", Scenario(graph="citeseer", drift="rotation")),
        ("drift=none", Scenario()),
        ("task=links+drift=encoder", Scenario(drift="encoder", task="links")),
        ("task=classes", Scenario()),
    ],
)
def test_words_are_read_and_written_back(text: str, scenario: Scenario) -> None:
    assert parse_scenario(text, SENSORS) == scenario
    assert parse_scenario(str(scenario), SENSORS) == scenario


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no scenario ''"),
        ("missing", "no scenario 'missing'"),
        ("skew", "no scenario 'skew'"),
        ("unlabelled", "no scenario 'unlabelled'"),
        ("labelled=gyroscope", "no scenario 'labelled=gyroscope'"),
        ("missing=0.5+", "no scenario ''"),
        ("missing=0.5,skew=1", "'0.5,skew=1' is not a rate"),
        ("missing=", "'' is not a rate"),
        ("missing=1", "'1' is not a rate"),
        ("missing=-0.1", "'-0.1' is not a rate"),
        ("missing=nan", "'nan' is not a rate"),
        ("skew=0", "'0' is not a number above 0"),
        ("skew=inf", "'inf' is not a number above 0"),
        ("skew=-1", "'-1' is not a number above 0"),
        ("skew=half", "'half' is not a number above 0"),
        ("missing=0.3+missing=0.5", "speaks of missing twice"),
        ("labelled+local-heads", "speaks of labels twice"),
        ("unlabelled=odour+missing=0.3", "no modality 'odour'"),
        ("multimodal", "no scenario 'multimodal'"),
        ("multimodal=", "'' is not a share"),
        ("multimodal=0", "'0' is not a share above 0, at most 1"),
        ("multimodal=1.01", "'1.01' is not a share"),
        ("multimodal=-0.5", "'-0.5' is not a share"),
        ("multimodal=nan", "'nan' is not a share"),
        ("multimodal=0.3+multimodal=0.5", "speaks of multimodal twice"),
        ("multimodal=0.5+unbalanced+unbalanced", "speaks of unbalanced twice"),
        ("unbalanced=0.5+multimodal=0.5", "no scenario 'unbalanced=0.5'"),
        ("unbalanced", "without multimodal=<share>"),
        ("unbalanced+missing=0.5", "without multimodal=<share>"),
        ("multimodal=0.5+missing=0.5", "both say who holds what"),
        ("missing=0+multimodal=0.5+unbalanced", "both say who holds what"),
    ],
)
def test_nonsense_is_told(text: str, told: str) -> None:
    with pytest.raises(ConcordError) as caught:
        parse_scenario(text, SENSORS)
    assert caught.value.code == "C204"
    assert told in caught.value.message


SOUND = [
    "labelled",
    "local-heads",
    "missing=0.3",
    "missing=0.123456789",
    "skew=2",
    "multimodal=0.7",
    "multimodal=1",
    "unbalanced",
]
WORDS = st.sampled_from([*SOUND, "missing", "", "skew=nan", "multimodal=0"])


@given(st.lists(WORDS).map("+".join) | st.text())
def test_any_text_is_a_scenario_or_a_typed_error(text: str) -> None:
    try:
        scenario = parse_scenario(text, SENSORS)
    except ConcordError:
        return
    assert parse_scenario(str(scenario), SENSORS) == scenario


@given(
    multimodal=st.floats(0, 1, exclude_min=True),
    unbalanced=st.booleans(),
    skew=st.none() | st.floats(0, exclude_min=True, allow_infinity=False),
)
def test_who_holds_what_is_written_back(multimodal: float, unbalanced: bool, skew: float | None) -> None:
    scenario = Scenario(multimodal=multimodal, unbalanced=unbalanced, skew=skew)
    assert parse_scenario(str(scenario), SENSORS) == scenario


@pytest.mark.parametrize("suite", SUITES)
def test_a_suite_refuses_what_makes_no_sense_with_the_reason(suite: str) -> None:
    found = find_suite(suite)
    modality = found.modality_names[0]
    told = {
        "missing": "missing=0.3",
        "skew": "skew=1",
        "unlabelled": f"unlabelled={modality}",
        "disjoint-labels": "disjoint-labels",
        "multimodal": "multimodal=0.5",
        "unbalanced": "unbalanced+multimodal=0.5",
        "local-heads": "local-heads",
        "graph": "graph=cora",
        "drift": "drift=rotation",
        "task": "task=links",
    }
    for word, text in told.items():
        if word in found.refused:
            with pytest.raises(ConcordError, match=f"C204.*{word} makes no sense here: {found.refused[word]}"):
                parse_scenario(text, found.modality_names, found.refused)
        else:
            parse_scenario(text, found.modality_names, found.refused)
    refused = {name: set(suite.refused) for name, suite in SUITES.items()}
    kinds, graphs = {"multimodal", "unbalanced"}, {"graph", "drift", "task"}
    assert refused["digits"] == refused["demo"] == {"missing", "skew"} | kinds | graphs
    assert refused["activity"] == refused["activity-validation"] == {"unlabelled", "disjoint-labels"} | kinds | graphs
    assert refused["strokes"] == {"unlabelled", "disjoint-labels", "missing", "skew"} | kinds | graphs
    for agents in ("activity-agents", "activity-agents-three", "activity-agents-validation"):
        assert refused[agents] == {"unlabelled", "disjoint-labels"} | graphs
    of_samples = {"unlabelled", "disjoint-labels", "local-heads", "skew"} | kinds
    assert refused["world"] == of_samples
    assert refused["citation"] == refused["heterophily"] == of_samples | {"missing"}


def test_heads_stay_at_home_whatever_else_is_said() -> None:
    assert RunConfig(scenario="local-heads").head_scope == RunConfig(scenario="missing=0.5+local-heads").head_scope == "local"
    assert RunConfig(scenario="missing=0.5").head_scope == "shared"
