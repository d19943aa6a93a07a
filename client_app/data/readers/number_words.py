"""Digits spelled out by the package num2words in the languages it knows: cardinals, ordinals, and years where they differ.

The owner of a word is its language. A form that a language lacks is left out.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from num2words import CONVERTER_CLASSES, num2words

from client_app.data.corpus import Corpus, Reader, make_corpus
from client_app.data.preparation.characters import encode

FORMS = ("cardinal", "ordinal", "year")
# What num2words' converters raise for a form that they do not have; only the first is meant to say so.
NO_SUCH_FORM = (NotImplementedError, ValueError, IndexError, KeyError, AttributeError)


def build(_: Path) -> Corpus:
    """Words of all languages; they come with a dependency, so the data folder does not matter."""
    words: dict[tuple[str, str, int], None] = {}
    for language in sorted(CONVERTER_CLASSES):
        for form in FORMS:
            words |= {(language, spelled, digit): None for digit in range(10) if (spelled := spell(digit, language, form))}
    ids = [f"word/{language}/{digit}-{spelled}" for language, spelled, digit in words]
    labels = [digit for _, _, digit in words]
    return make_corpus(encode([spelled for _, spelled, _ in words]), labels, ids, [language for language, _, _ in words])


def spell(digit: int, language: str, form: str) -> str:
    """The digit in words; empty where the language has no such form."""
    try:
        return str(num2words(digit, lang=language, to=form)).strip()
    except NO_SUCH_FORM:
        return ""


NUMBER_WORDS = Reader("number-words", 1, build, salt=version("num2words"))
