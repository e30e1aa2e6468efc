"""In which order the sentences are seen: a function of (seed, epoch), cut into batches."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mlsg.train.draws import raw_numbers


def order(seed: int, epoch: int, count: int) -> np.ndarray:
    """A permutation of 0..count-1, the same on every machine."""
    return np.argsort(raw_numbers(count, seed, "order", epoch), kind="stable")


@dataclass(frozen=True)
class Plan:
    """The steps of a training: 17,256 sentences by 16 are 1,079 steps an epoch, the last one of 8 sentences."""

    sentences: int
    batch_size: int
    epochs: int
    max_steps: int
    """0: no bound."""

    @property
    def steps_an_epoch(self) -> int:
        """Steps of one pass, the short last one included."""
        return math.ceil(self.sentences / self.batch_size)

    @property
    def steps(self) -> int:
        """Steps in all."""
        full = self.steps_an_epoch * self.epochs
        return min(full, self.max_steps) if self.max_steps else full

    def place(self, step: int) -> tuple[int, int]:
        """The epoch and the step within it of a step counted from 0."""
        return divmod(step, self.steps_an_epoch)

    def rows(self, step: int, epoch_order: np.ndarray) -> np.ndarray:
        """The sentences of a step, given the order of its epoch."""
        start = self.place(step)[1] * self.batch_size
        return epoch_order[start : start + self.batch_size]
