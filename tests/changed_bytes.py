"""Messages that were damaged or forged on their way."""

from __future__ import annotations

from hypothesis import strategies as st


def changed_bytes(data: st.DataObject, content: bytes, most: int) -> bytes:
    """The content with other bytes at one to `most` places; it is as long as before."""
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(1, most))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    return bytes(changed)
