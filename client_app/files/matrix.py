"""Features of many samples in one NumPy file, a row a sample, read without pickle.

Legend: N samples, F features.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client_app.files.unreadable import unreadable

MOST_VALUES = 2**27


def read_matrix(path: Path) -> NDArray[np.float32]:
    """The numbers [N, F] in a file, whether finite or not; ConcordError C206 where there are none, or too many."""
    try:
        mapped = np.lib.format.open_memmap(path, mode="r")  # reads the head, and no object
        if mapped.dtype.kind not in "iuf" or mapped.ndim != 2 or not 0 < mapped.size <= MOST_VALUES:
            shape = f"an array of {mapped.dtype} {list(mapped.shape)}"
            raise ValueError(f"{shape}; numbers [N, F] are read, at most {MOST_VALUES:,}")
        with np.errstate(over="ignore"):  # what is too large is infinite, and told so
            return np.array(mapped, np.float32)
    except Exception as error:  # readers of broken files raise anything
        raise unreadable(path, error) from error
