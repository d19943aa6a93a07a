"""The error of a sample that cannot be read, and names of files as people can read them."""

from __future__ import annotations

from pathlib import Path

from concord.errors import ConcordError


def unreadable(path: Path | str, why: object) -> ConcordError:
    """ConcordError C206 about a file, or a row of a table."""
    hint = "mend it or take it away; `concord data check FOLDER` tells of all at once"
    return ConcordError("C206", printable(f"{path}: {str(why) or type(why).__name__}"), hint)


def printable(text: str) -> str:
    """A name from the file system, the bytes that are no UTF-8 written out."""
    return text.encode(errors="surrogateescape").decode(errors="backslashreplace")
