"""Random draws and the order of sentences, each a function of (seed, purpose, where): no state to save or to lose.

The draws rest on sha256 and on numpy's raw bit streams, which stay the same from one numpy version to the next.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
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


def batches(seed: int, epoch: int, blocks: Sequence[int], size: int) -> list[np.ndarray]:
    """The rows of each step of an epoch: `size` of one block of the text, in an order drawn for the epoch.

    The last batch of a block is smaller; of several blocks, a batch of one row goes with the batch before it.
    """
    ordered = order(seed, epoch, sum(blocks))
    if len(blocks) == 1:
        return _cut(ordered, size)
    ends = np.cumsum(blocks)
    block_of = np.searchsorted(ends, ordered, side="right")
    found: list[np.ndarray] = []
    for number in range(len(blocks)):
        parts = _cut(ordered[block_of == number], size)
        if len(parts) > 1 and len(parts[-1]) == 1:
            parts[-2:] = [np.concatenate(parts[-2:])]
        found += parts
    turns = np.argsort(raw_numbers(len(found), seed, "batches", epoch), kind="stable")
    return [found[turn] for turn in turns]


def _cut(rows: np.ndarray, size: int) -> list[np.ndarray]:
    return [rows[first : first + size] for first in range(0, len(rows), size)]


@dataclass(frozen=True)
class Plan:
    """The steps of a training: 17,256 sentences by 16 are 1,079 steps an epoch, the last one of 8 sentences."""

    blocks: Sequence[int]
    """Rows of each part of the text whose rows share batches: all of them, or those of each language."""
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
        return sum(self._steps_of(rows) for rows in self.blocks)

    def _steps_of(self, rows: int) -> int:
        alone = len(self.blocks) > 1 and rows > self.batch_size and rows % self.batch_size == 1
        return -(-rows // self.batch_size) - alone

    def place(self, step: int) -> tuple[int, int]:
        """The epoch and the step within it of a step counted from 0."""
        return divmod(step, self._steps_an_epoch)

    def seen(self, step: int) -> int:
        """About how many sentences were seen before a step counted from 0; exact for text of one block."""
        epochs, within = self.place(step)
        return epochs * sum(self.blocks) + min(within * self.batch_size, sum(self.blocks))
