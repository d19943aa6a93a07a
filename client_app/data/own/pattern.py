"""Patterns of file names: ``recordings/{label}_{owner}_{take}.wav``, ``Dataset/{label}/*.JPG``, ``**/{label}/*``.

``{label}``, ``{owner}``, ``{id}`` and ``{split}`` tell of the sample, other names stand for anything; ``*`` is any part of a
name, ``**/`` any folders or none. Names that begin with a dot are not looked at.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

_PART = re.compile(r"\{([A-Za-z_]\w*)\}|(\*\*/)|(\*)")


class PatternError(ValueError):
    """A pattern that is none."""


@lru_cache(maxsize=64)
def compiled(pattern: str) -> re.Pattern[str]:
    """A regular expression for paths below the folder, with the named parts as groups; PatternError."""
    if pattern.startswith("/") or ".." in pattern.split("/"):
        raise PatternError(f"{pattern!r} leads out of the folder")
    text, end = "", 0
    names: set[str] = set()
    for part in _PART.finditer(pattern):
        text += re.escape(pattern[end : part.start()])
        end = part.end()
        name, folders, _ = part.groups()
        if name in names:
            raise PatternError(f"{pattern!r} has {{{name}}} twice")
        names |= {name} if name else set()
        text += f"(?P<{name}>[^/]+?)" if name else "(?:[^/]+/)*" if folders else "[^/]*"
    rest = pattern[end:]
    if "{" in rest or "}" in rest:
        raise PatternError(f"{pattern!r} has a brace without its other")
    return re.compile(text + re.escape(rest))


def walk(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Every file below a folder: its path there, with slashes, and what the file system says of it; folders in order."""
    pending = [""]
    while pending:
        below = pending.pop()
        with os.scandir(folder / below) as found:
            entries = sorted((entry for entry in found if not entry.name.startswith(".")), key=lambda entry: entry.name)
        folders = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
        pending += [f"{below}{entry.name}/" for entry in reversed(folders)]
        for entry in entries:
            if entry.is_file():
                yield f"{below}{entry.name}", entry.stat()
