"""Names and texts that come from other parties: what is taken as the name of a node, and what is shown of a text."""

from __future__ import annotations

import unicodedata

MOST_BYTES = 128  # of a node's name in UTF-8: it names a folder, and stands in every line of figures about the node
JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"  # are not seen, but needed to write some languages
SEPARATORS = "/\\"
HIDDEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})  # Unicode's categories of control, format, and no letters


def name_problem(name: str) -> str:
    """What is wrong with the name of a node, as a sentence; empty: nothing."""
    if (size := len(name.encode("utf-8", "replace"))) > MOST_BYTES:
        return f"a name of {size} bytes, at most {MOST_BYTES} are taken"
    if bad := [letter for letter in name if _is_hidden(letter) or letter in SEPARATORS]:
        return f"a name with U+{ord(bad[0]):04X}, which cannot be shown or names a folder"
    if not any(letter.isalnum() for letter in name):
        return "a name without a letter or a digit"
    return ""


def bare_name(name: str) -> str:
    """What names have in common that look the same: in Unicode's form C, and without what is not seen."""
    return unicodedata.normalize("NFC", "".join(letter for letter in name if letter not in JOINERS))


def shown(text: str, most: int) -> str:
    """A text by somebody else in one line: cut after `most` letters, and a sign for each that cannot be shown."""
    cut = text if len(text) <= most else f"{text[:most]}…"
    return "".join("\N{REPLACEMENT CHARACTER}" if _is_hidden(letter) else letter for letter in cut)


def _is_hidden(letter: str) -> bool:
    return unicodedata.category(letter) in HIDDEN and letter not in JOINERS
