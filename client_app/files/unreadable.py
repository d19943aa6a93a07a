"""The error of a sample that cannot be read."""

from __future__ import annotations

from pathlib import Path

from concord.errors import ConcordError


def unreadable(path: Path | str, why: object) -> ConcordError:
    """ConcordError C206 about a file, or a row of a table."""
    hint = "mend it or take it away; `concord data check FOLDER` tells of all at once"
    return ConcordError("C206", f"{path}: {str(why) or type(why).__name__}", hint)
