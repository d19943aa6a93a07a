"""Suite `digits`: ten concepts in five modalities, no sample paired; 13 nodes by natural owners.

- speech: a node a speaker; in alphabetical order three own nodes, one is unseen, and two give the anchors.
- image: two nodes of MNIST, one a population of writers, and one of Semeion. Writers are not told; the unseen test and
  the anchors are blocks of rows and sheets that no node has (see `readers.image`).
- pen: two nodes of 15 writers; the 14 writers of the official test make anchors and unseen test.
- sign: two nodes of four and five blocks in camera order (see `readers.sign`).
- word: three nodes of related languages; a language is never split, and each large family of the nodes has other
  languages among the anchors and in the unseen test.
"""

from __future__ import annotations

from client_app.data.readers.image import IMAGE
from client_app.data.readers.pen import PEN
from client_app.data.readers.sign import SIGN
from client_app.data.readers.speech import SPEECH
from client_app.data.readers.word import WORD
from client_app.data.suite import DIGITS_IN_ENGLISH, Modality, Suite, names

NODE_SPEAKERS = ("george", "jackson", "lucas")
UNSEEN_SPEAKERS = ("nicolas",)
ANCHOR_SPEAKERS = ("theo", "yweweler")

WEST_EUROPE = names("da de de-CH fo is lb nn no sv ca fr fr-BE fr-CH it ro vec cy ga mt")
EAST_EUROPE = names("be bg bs cs hr lt mk pl ru sr sr-Latn et fi hy ka el")
ASIA_AFRICA = names("ar he lrc az tr gu hi ccp ta km lo my th vi ja ko fil su ak ee ff kl")
ANCHOR_LOCALES = names("en en-IN es sl hu eo fa fa-AF kk id ms sw zh zh-Hant")
UNSEEN_LOCALES = names("af nl pt pt-PT sk uk lv se sq ky ne yue yue-Hans am chr qu")


def _writers(first: int, last: int) -> tuple[str, ...]:
    return tuple(f"w{writer:02}" for writer in range(first, last + 1))


def _blocks(prefix: str, *numbers: int) -> tuple[str, ...]:
    return tuple(f"{prefix}-{number}" for number in numbers)


DIGITS = Suite(
    name="digits",
    what="the digits as speech, images, pen strokes, hand signs and words of 87 locales",
    licence="CC BY-SA (speech, MNIST), CC BY 4.0 (Semeion, pendigits), Apache-2.0 (signs), Unicode-3.0 (words)",
    origin="public repositories, one a file: `concord data check` names them",
    concepts=DIGITS_IN_ENGLISH,
    modalities=(
        Modality("speech", SPEECH, {name: (name,) for name in NODE_SPEAKERS}, UNSEEN_SPEAKERS, ANCHOR_SPEAKERS),
        Modality(
            "image",
            IMAGE,
            nodes={
                "mnist-sd3": _blocks("sd3", *range(8)),
                "mnist-sd1": _blocks("sd1", *range(8)),
                "semeion": _blocks("semeion", 2, 3, 4, 5),
            },
            unseen=_blocks("sd3", 9) + _blocks("sd1", 9) + _blocks("semeion", 1),
            anchors=_blocks("sd3", 8) + _blocks("sd1", 8) + _blocks("semeion", 0),
        ),
        Modality(
            "pen",
            PEN,
            nodes={"writers-a": _writers(1, 15), "writers-b": _writers(16, 30)},
            unseen=_writers(108, 114),
            anchors=_writers(101, 107),
        ),
        Modality(
            "sign",
            SIGN,
            nodes={
                "students-a": _blocks("block", 0, 1, 2, 3),
                "students-b": _blocks("block", 4, 5, 6, 7, 8),
            },
            unseen=_blocks("block", 10, 11),
            anchors=_blocks("block", 9),
        ),
        Modality(
            "word",
            WORD,
            nodes={"west-europe": WEST_EUROPE, "east-europe": EAST_EUROPE, "asia-africa": ASIA_AFRICA},
            unseen=UNSEEN_LOCALES,
            anchors=ANCHOR_LOCALES,
        ),
    ),
)
