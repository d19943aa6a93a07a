"""Suite `emoji`: 96 subgroups of emoji as pictures of two makers and as names in 30 languages; seven nodes.

No two nodes of different modalities know the same concept: a tenth of the concepts is at each node of pictures, two tenths are
at the nodes of names, which have a family of languages each. Two tenths are public, and two tenths are at no node: which
picture belongs to which name is asked there.
"""

from __future__ import annotations

from collections.abc import Sequence

from client_app.data.readers.emoji import FX, LANGUAGES, NOTO, TEXT
from client_app.data.suite import Modality, Suite, names

UNSEEN, PUBLIC = ("part-0", "part-1"), ("part-2", "part-3")
NODES = {"noto": ("part-4", "part-5"), "fx": ("part-6", "part-7"), "text": ("part-8", "part-9")}
WEST_EUROPE = names("en de fr es pt it nl sv ro")
EAST_EUROPE = names("pl ru uk cs hu fi el tr")
ASIA_AFRICA = names("ar he fa hi bn ta th vi id sw ja ko zh")

SUBGROUPS = tuple(
    name.replace("_", " ")
    for name in names(
        "alphanum animal-amphibian animal-bird animal-bug animal-mammal animal-marine animal-reptile arrow arts_&_crafts "
        "av-symbol award-medal body-parts book-paper cat-face clothing computer currency dishware drink emotion event "
        "face-affection face-concerned face-costume face-glasses face-hand face-hat face-negative face-neutral-skeptical "
        "face-sleepy face-smiling face-tongue face-unwell family food-asian food-fruit food-marine food-prepared "
        "food-sweet food-vegetable game gender geometric hand-fingers-closed hand-fingers-open hand-fingers-partial "
        "hand-prop hand-single-finger hands heart hotel household keycap light_&_video lock mail math medical money "
        "monkey-face music musical-instrument office other-object other-symbol person person-activity person-fantasy "
        "person-gesture person-resting person-role person-sport person-symbol phone place-building place-geographic "
        "place-map place-other place-religious plant-flower plant-other punctuation religion science sky_&_weather sound "
        "sport time tool transport-air transport-ground transport-sign transport-water warning writing zodiac"
    )
)


def _in(parts: Sequence[str], languages: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{part}/{language}" for part in parts for language in languages)


def _one_part_each(parts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    return {name: (part,) for name, part in zip("ab", parts, strict=True)}


EMOJI_SUITE = Suite(
    name="emoji",
    what="emoji of 96 subgroups as pictures of two makers and as names in 30 languages; no concept is in two modalities",
    licence="Apache-2.0 (noto), CC BY 4.0 (fx), Unicode-3.0 (names, subgroups)",
    origin="googlefonts/noto-emoji, mozilla/fxemoji and unicode-org/cldr-json: `concord data check` names the commits",
    concepts=SUBGROUPS,
    modalities=(
        Modality("noto", NOTO, _one_part_each(NODES["noto"]), unseen=UNSEEN, anchors=PUBLIC),
        Modality("fx", FX, _one_part_each(NODES["fx"]), unseen=UNSEEN, anchors=PUBLIC),
        Modality(
            "text",
            TEXT,
            nodes={
                "west-europe": _in(NODES["text"], WEST_EUROPE),
                "east-europe": _in(NODES["text"], EAST_EUROPE),
                "asia-africa": _in(NODES["text"], ASIA_AFRICA),
            },
            unseen=_in(UNSEEN, LANGUAGES),
            anchors=_in(PUBLIC, LANGUAGES),
        ),
    ),
)
