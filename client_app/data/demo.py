"""Suite `demo`: the digits as images, words and keypad tones; 9 nodes. It needs no download.

Images and words come with dependencies (scikit-learn, num2words); tones are synthesised. The unseen tests are forms,
languages and an exchange that no node has.
"""

from __future__ import annotations

from client_app.data.readers.number_words import NUMBER_WORDS
from client_app.data.readers.optdigits import OPTDIGITS
from client_app.data.readers.tone import TONE
from client_app.data.suite import DIGITS_IN_ENGLISH, Modality, Suite, names

ROMANCE_GERMANIC = names("fr fr_BE fr_CH fr_DZ it ro ca de da no sv is nl cy")
SLAVIC_BALTIC_URALIC = names("ru be cs sk sl sr lt fi ce")
ASIA_AFRICA = names("ar he tg tr kz th vi ja bn")
ANCHOR_LANGUAGES = names("en en_IN en_NG es es_CO es_CR es_GT es_NI es_VE eo uk hu fa id ko tet")
UNSEEN_LANGUAGES = names("pt pt_BR pl lv az kn te am")


def _forms(*numbers: int) -> tuple[str, ...]:
    return tuple(f"form-{number}" for number in numbers)


DEMO = Suite(
    name="demo",
    what="the digits as 8x8 images, as words of some fifty languages and as synthesised keypad tones",
    licence="BSD-3-Clause (scikit-learn's digits: CC BY 4.0), LGPL-2.1 (num2words); tones are made here",
    origin="",
    concepts=DIGITS_IN_ENGLISH,
    modalities=(
        Modality(
            "image",
            OPTDIGITS,
            nodes={"forms-a": _forms(0, 1, 2), "forms-b": _forms(3, 4, 5), "forms-c": _forms(6, 7, 8)},
            unseen=_forms(10, 11, 12),
            anchors=_forms(9),
        ),
        Modality(
            "word",
            NUMBER_WORDS,
            nodes={"west-europe": ROMANCE_GERMANIC, "east-europe": SLAVIC_BALTIC_URALIC, "asia-africa": ASIA_AFRICA},
            unseen=UNSEEN_LANGUAGES,
            anchors=ANCHOR_LANGUAGES,
        ),
        Modality(
            "tone",
            TONE,
            nodes={name: (name,) for name in ("north", "east", "south")},
            unseen=("overseas",),
            anchors=("public",),
        ),
    ),
)
