"""A seeded sample without replacement of rows 0..total-1, the same on every machine.

Every row draws a 64-bit number from PCG64, whose stream numpy guarantees, and the rows with the smallest numbers are
taken: each sample of a size is equally likely, and a larger sample of the same seed holds the smaller ones.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray


def sample_rows(total: int, size: int, seed: int) -> NDArray[np.int64]:
    """Return `size` of the rows 0..total-1 in rising order, or all where there are no more: (min(size, total),)."""
    if size >= total:
        return np.arange(total)
    entropy = int.from_bytes(hashlib.sha256(f"mlsg sample {seed}".encode()).digest(), "big")
    draws = np.random.PCG64(entropy).random_raw(total)
    return np.sort(np.argsort(draws, kind="stable")[:size])
