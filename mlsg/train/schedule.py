"""Random draws and the order of sentences, each a function of (seed, purpose, where): no state to save or to lose.

The draws rest on sha256 and on numpy's raw bit streams, which stay the same from one numpy version to the next.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

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


def order(seed: int, epoch: int, count: int) -> np.ndarray:
    """A permutation of 0..count-1, the same on every machine."""
    return np.argsort(raw_numbers(count, seed, "order", epoch), kind="stable")


@dataclass(frozen=True)
class Plan:
    """The steps of a training: 17,256 sentences by 16 are 1,079 steps an epoch, the last one of 8 sentences."""

    sentences: int
    batch_size: int
    epochs: int
    max_steps: int  # 0: no bound

    @property
    def steps(self) -> int:
        """Steps in all."""
        full = self._steps_an_epoch * self.epochs
        return min(full, self.max_steps) if self.max_steps else full

    @property
    def _steps_an_epoch(self) -> int:
        return -(-self.sentences // self.batch_size)

    def place(self, step: int) -> tuple[int, int]:
        """The epoch and the step within it of a step counted from 0."""
        return divmod(step, self._steps_an_epoch)

    def rows(self, step: int, epoch_order: np.ndarray) -> np.ndarray:
        """The sentences of a step, given the order of its epoch."""
        start = self.place(step)[1] * self.batch_size
        return epoch_order[start : start + self.batch_size]

    def seen(self, step: int) -> int:
        """Sentences seen before a step counted from 0."""
        epochs, within = self.place(step)
        return epochs * self.sentences + within * self.batch_size
