"""How often a training writes a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

_BYTES_A_SECOND = 1e9
"""What a disk is taken to write before one checkpoint has shown it."""


@dataclass(frozen=True)
class Pace:
    """A checkpoint at every so many steps, unless they would take more than a share of the time.

    On a GPU a hundred steps of mBERT's shape take less time than their checkpoint does.
    """

    every: int = 100
    """Steps."""
    share: float = 0.02
    """Of the time of a training."""

    def before_first(self, size: int) -> float:
        """Seconds of training before the first checkpoint, which has `size` bytes."""
        return self.after(size / _BYTES_A_SECOND)

    def after(self, seconds: float) -> float:
        """Seconds of training after a checkpoint that took so long."""
        return seconds / self.share
