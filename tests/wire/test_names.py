"""Names and texts that come from other parties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concord.names import MOST_BYTES, name_problem, shown


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
        ("", "no name"),
        ("é" * (MOST_BYTES // 2 + 1), "a name of 130 bytes, at most 128 are taken"),
        ("ward\n7", "a name with U+000A, which cannot be shown"),
        ("ward\x1b[31m", "a name with U+001B, which cannot be shown"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}draw", "a name with U+202E, which cannot be shown"),
        ("\ud800", "a name with U+D800, which cannot be shown"),
    ],
)
def test_what_is_no_name_is_told(name: str, problem: str) -> None:
    assert name_problem(name) == problem


@given(st.text(), st.integers(1, 50))
def test_what_is_shown_is_one_short_line(text: str, most: int) -> None:
    line = shown(text, most)
    assert len(line) <= most + 1
    assert len(line.splitlines()) <= 1
    assert "\x1b" not in line
