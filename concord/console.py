"""Where commands print: every word as it is.

Rich would otherwise read ``[x]`` in a path as markup, and ``:ab:`` in a fingerprint as an emoji.
"""

from __future__ import annotations

from typing import Any

from rich.console import Console


def plain_console(**options: Any) -> Console:
    """Rich's console without markup, emoji codes and highlights; options are those of `rich.console.Console`."""
    return Console(markup=False, emoji=False, highlight=False, **options)
