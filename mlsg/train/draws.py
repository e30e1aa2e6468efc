"""Every random draw of training, a function of (seed, purpose, where): no state to save, none to lose by a kill.

The functions rest on sha256 and on numpy's raw bit streams, which stay the same from one numpy to the next.
"""

from __future__ import annotations

import hashlib

import numpy as np


def seed_of(seed: int, purpose: str, *where: int) -> int:
    """A whole number below 2^63 for a purpose and a place: `seed_of(1, "dropout", epoch, step)`."""
    text = "/".join([str(seed), purpose, *map(str, where)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def draw_below(bound: int, seed: int, purpose: str, *where: int) -> int:
    """A number from 0 to bound - 1, uniform to one part in 2^58 for small bounds."""
    return seed_of(seed, purpose, *where) % bound


def raw_numbers(count: int, seed: int, purpose: str, *where: int) -> np.ndarray:
    """(count,) uint64, uniform."""
    return np.asarray(np.random.PCG64(seed_of(seed, purpose, *where)).random_raw(count), dtype=np.uint64)
