"""Names and texts that come from other parties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concord.names import MOST_BYTES, bare_name, name_problem, shown


@pytest.mark.parametrize(
    "name",
    [
        "ward-7",
        "Klinik Süd",
        "क्\N{ZERO WIDTH JOINER}ष",
        "می\N{ZERO WIDTH NON-JOINER}خواهم",
        "病院\N{IDEOGRAPHIC SPACE}三",
        "x" * MOST_BYTES,
    ],
)
def test_names_in_all_languages_are_names(name: str) -> None:
    assert name_problem(name) == ""
    assert shown(name, len(name)) == name


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "a name without a letter or a digit"),
        ("..", "a name without a letter or a digit"),
        ("\N{ZERO WIDTH JOINER}", "a name without a letter or a digit"),
        ("a/b", "a name with U+002F, which cannot be shown or names a folder"),
        ("é" * (MOST_BYTES // 2 + 1), "a name of 130 bytes, at most 128 are taken"),
        ("ward\n7", "a name with U+000A, which cannot be shown or names a folder"),
        ("ward\x1b[31m", "a name with U+001B, which cannot be shown or names a folder"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}draw", "a name with U+202E, which cannot be shown or names a folder"),
        ("\ud800", "a name with U+D800, which cannot be shown or names a folder"),
    ],
)
def test_what_is_no_name_is_told(name: str, problem: str) -> None:
    assert name_problem(name) == problem


def test_names_that_look_the_same_are_one() -> None:
    assert bare_name("Klinik Su\N{COMBINING DIAERESIS}d") == bare_name("Klinik Süd") == "Klinik Süd"
    assert bare_name("ward-7\N{ZERO WIDTH JOINER}") == "ward-7"
    assert bare_name("ward-7") != bare_name("ward-8")


@given(st.text(), st.integers(1, 50))
def test_what_is_shown_is_one_short_line(text: str, most: int) -> None:
    line = shown(text, most)
    assert len(line) <= most + 1
    assert len(line.splitlines()) <= 1
    assert "\x1b" not in line
