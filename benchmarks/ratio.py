"""Ratios from one run: two things timed alternately, so that other load on the machine affects both.

found = alternate(ours, theirs, pairs=5)
print(found.line("step"))
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median

import torch


@dataclass(frozen=True)
class Comparison:
    """Seconds of both sides, pair by pair."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    processor: float | None = None
    """The median ratio of processor time: with one thread the steadier figure on a shared machine."""

    @property
    def ratios(self) -> tuple[float, ...]:
        """How many times as long theirs took, pair by pair."""
        return tuple(theirs / ours for ours, theirs in zip(self.ours, self.theirs, strict=True))

    @property
    def ratio(self) -> float:
        """The median of the ratios."""
        return median(self.ratios)

    def line(self, name: str, ours: str = "mlsg", theirs: str = "straightforward") -> str:
        """What is printed of it."""
        said = (
            f"{name}: {ours} {median(self.ours):.4g} s, {theirs} {median(self.theirs):.4g} s, "
            f"ratio {self.ratio:.2f} ({min(self.ratios):.2f} to {max(self.ratios):.2f}, {len(self.ratios)} pairs)"
        )
        return said if self.processor is None else f"{said}, of processor time {self.processor:.2f}"


def alternate(
    ours: Callable[[], object], theirs: Callable[[], object], *, pairs: int = 5, warmup: int = 1
) -> Comparison:
    """Run both `pairs` times, each in turn being first; `warmup` runs of each before that are not counted."""
    processor: tuple[list[float], list[float]] = ([], [])

    def run(side: int, work: Callable[[], object]) -> float:
        began = time.process_time()
        spent = timed(work)
        processor[side].append(time.process_time() - began)
        return spent

    found = take_turns(lambda: run(0, ours), lambda: run(1, theirs), pairs=pairs, warmup=warmup)
    counted = zip(*(side[warmup:] for side in processor), strict=True)
    steadier = median(theirs / max(ours, 1e-9) for ours, theirs in counted)
    return replace(found, processor=None if torch.cuda.is_available() else steadier)


def take_turns(ours: Callable[[], float], theirs: Callable[[], float], *, pairs: int, warmup: int = 1) -> Comparison:
    """As `alternate`, of two sides that report the seconds themselves."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for pair in range(-warmup, pairs):
        for side in (0, 1) if pair % 2 else (1, 0):
            spent = (ours, theirs)[side]()
            if pair >= 0:
                seconds[side].append(spent)
    return Comparison(tuple(seconds[0]), tuple(seconds[1]))


def timed(work: Callable[[], object]) -> float:
    """Seconds of a call, with everything that it has started on a GPU."""
    _finish()
    began = time.perf_counter()
    work()
    _finish()
    return time.perf_counter() - began


def _finish() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
