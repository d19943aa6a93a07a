"""Digits spelled out in 87 locales: cardinals, ordinals, gender and case forms, from Unicode CLDR's spell-out rules.

The owner of a word is its locale.
"""

from __future__ import annotations

from pathlib import Path

from client_app.data.corpus import Corpus, Reader, make_corpus
from client_app.data.packs import TableFile, read_table
from client_app.data.preparation.characters import encode

DIGIT_WORDS = TableFile(
    path="digits/digit_words.tsv",
    origin="unicode-org/cldr-json at commit b08a82b582f1, cldr-rbnf, its rules evaluated for 0..9",
    size=162_196,
    sha256="fb30c7f2affd2137d0f9b07202f08bb60ffb7db11e6ad7a97c0e68c53d714753",
    columns=("digit", "word", "locale", "kind", "ruleset"),
    label="digit",
)


def build(data: Path) -> Corpus:
    """All words of all locales; the same string may stand in several."""
    rows = read_table(DIGIT_WORDS, data)
    ids = [f"word/{row['locale']}/{row['digit']}-{row['word']}" for row in rows]
    label = [int(row["digit"]) for row in rows]
    return make_corpus(encode([row["word"] for row in rows]), label, ids, [row["locale"] for row in rows])


WORD = Reader("word", 1, build, (DIGIT_WORDS,))
