"""Texts, one a file."""

from __future__ import annotations

from pathlib import Path

from client_app.files.unreadable import unreadable

MOST_BYTES = 2**22


def read(path: Path) -> str:
    """The text of a UTF-8 file; ConcordError C206."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ValueError(f"more than {MOST_BYTES:,} bytes")
        text = content.decode("utf-8-sig").strip()
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    if not text:
        raise unreadable(path, "there is no text")
    return text


def look(path: Path) -> str:
    """The text has to be read for that; ConcordError C206 where there is none."""
    return f"{len(read(path))} characters"
