"""Emoji: pictures of two makers and names in 30 languages, of the same 1,601 concepts; the label is the subgroup of Unicode.

A concept has one of ten parts, dealt out by turns within its subgroup, so that a part has as much of each subgroup as any
other. The owner of a picture is its part (``part-3``), that of a name its part and language (``part-3/de``): who holds other
parts holds other concepts.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from client_app.data.corpus import Corpus, Reader, make_corpus
from client_app.data.packs import Array, ArrayFile, LinesFile, read_arrays, read_lines
from client_app.data.preparation.characters import encode

CONCEPTS, SUBGROUPS, SIDE = 1601, 96, 32
PARTS = 10
LANGUAGES = (
    *("en", "de", "fr", "es", "pt", "it", "nl", "pl", "ru", "uk", "tr", "ar", "he", "fa", "hi"),
    *("bn", "ta", "th", "vi", "id", "sw", "ja", "ko", "zh", "el", "fi", "hu", "cs", "sv", "ro"),
)


def _names(thing: Any) -> dict[str, str]:
    """The name of a concept by language; ValueError where it has none in English."""
    names = {language: str(words[0]) for language, words in thing["text"].items()}
    if "en" not in names:
        raise ValueError("a concept has no name in English")
    return names


EMOJI = ArrayFile(
    path="emoji/emoji.npz",
    origin="googlefonts/noto-emoji at b3e3051a0880, png/128, and mozilla/fxemoji at 270af343bee3, svgs, both drawn at 32x32",
    size=2_966_722,
    sha256="3fa76d60ed320cfaeff77d0a8f919a2788da26bb4c3e6d91e15c23e1880a565f",
    arrays={
        "noto": Array("integer", (CONCEPTS, SIDE, SIDE, 3), 0, 255),
        "fx": Array("integer", ("N", SIDE, SIDE, 3), 0, 255),
        "fx_index": Array("integer", ("N",), 0, CONCEPTS - 1),
        "subgroup": Array("integer", (CONCEPTS,), 0, SUBGROUPS - 1),
    },
)
NAMES = LinesFile(
    path="emoji/text.jsonl",
    origin="unicode-org/cldr-json at b08a82b582f1, annotations",
    size=6_091_999,
    sha256="f2f4054dc441e2634767ab12f2a551a92bce33b2887f0b715f48a764cc98acb9",
    lines=CONCEPTS,
    holds="text: language -> [name, key words]",  # key words are not used here
    read=_names,
)


def build_pictures(data: Path, maker: str) -> Corpus:
    """The pictures of a maker, ``noto`` or ``fx``: colours [3, 32, 32] in 0..1."""
    pack = read_arrays(EMOJI, data)
    concept_N = np.arange(CONCEPTS) if maker == "noto" else pack["fx_index"].astype(np.int64)
    x_NCHW = torch.as_tensor(pack[maker]).permute(0, 3, 1, 2).float() / 255
    part_C = parts_of(pack["subgroup"])
    owners = [f"part-{part_C[concept]}" for concept in concept_N]
    return make_corpus(x_NCHW.contiguous(), pack["subgroup"][concept_N], [_id(maker, c) for c in concept_N], owners)


def build_names(data: Path) -> Corpus:
    """The names of all concepts in all languages."""
    subgroup_C = read_arrays(EMOJI, data)["subgroup"]
    part_C = parts_of(subgroup_C)
    rows = [
        (concept, language, by_language[language])
        for concept, by_language in enumerate(read_lines(NAMES, data))
        for language in LANGUAGES
        if language in by_language
    ]
    ids = [f"{_id('text', concept)}/{language}" for concept, language, _ in rows]
    owners = [f"part-{part_C[concept]}/{language}" for concept, language, _ in rows]
    return make_corpus(encode([name for *_, name in rows]), [int(subgroup_C[concept]) for concept, *_ in rows], ids, owners)


def parts_of(subgroup_C: NDArray[np.integer]) -> NDArray[np.int64]:
    """The part [C] of each concept: 0, 1, ... by turns in each subgroup, where the last one left off."""
    order = np.argsort(subgroup_C, kind="stable")
    part_C = np.empty(len(order), np.int64)
    part_C[order] = np.arange(len(order)) % PARTS
    return part_C


def concept_of(sample_id: str) -> int:
    """The concept that a sample shows, from its id."""
    return int(sample_id.split("/")[1])


def _id(modality: str, concept: int) -> str:
    return f"{modality}/{concept:04}"


NOTO = Reader("emoji-noto", 1, partial(build_pictures, maker="noto"), (EMOJI,))
FX = Reader("emoji-fx", 1, partial(build_pictures, maker="fx"), (EMOJI,))
TEXT = Reader("emoji-text", 1, build_names, (EMOJI, NAMES))
