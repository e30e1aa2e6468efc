"""A whole training from its parts: each is measured on a sample and multiplied by how often it happens.

The recipe is zero_shot: STS-B's 17,256 sentences once, 1,079 steps, dev 23 times. Both sides are taken to save a new
best of dev five times; mlsg also writes checkpoints, as often as `mlsg train` does, and an encoder at the end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from benchmarks import material
from benchmarks.ratio import Comparison, take_turns
from benchmarks.sides import Lanes, Task
from mlsg.train.loop import Run

_BATCH = 16
_DEV_EVERY = 50
_BESTS = 5
_WARMUP = 1


@dataclass(frozen=True)
class Parts:
    """Seconds of each part at full length."""

    shared: dict[str, float]
    """Done once for all seeds; trainings that run at the same time divide it."""
    first: dict[str, float]
    """Done once by each of those that run at the same time, and by none that begins later."""
    each: dict[str, float]
    """Done by every training."""

    def seconds(self, seeds: int, beside: int = 1) -> float:
        """Of `seeds` trainings, `beside` of them at a time."""
        shared, first, each = (sum(part.values()) for part in (self.shared, self.first, self.each))
        return shared / beside + first + seeds / beside * each

    def line(self) -> str:
        """What is printed of it."""
        parts = {**self.shared, **self.first, **self.each}
        return ", ".join(f"{name} {seconds:.1f} s" for name, seconds in parts.items())


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    pairs: int
    sample: int
    """Sentences whose views are made."""
    dev: int
    """Pairs of a dev evaluation."""
    steps: int = 1
    """Steps of one measurement of a pair."""
    sorted_dev: bool = True

    def task(self, shape: str, precision: str, device: str) -> Task:
        """What both sides are told."""
        return Task(shape, precision, device, whole_steps(), self.sample, self.dev, self.sorted_dev)


@dataclass(frozen=True)
class Measured:
    """Parts of both sides, and what they were made from."""

    ours: Parts
    theirs: Parts
    step: Comparison
    dev: Comparison

    def ratio(self, seeds: int, beside: int = 1, their_beside: int = 1) -> float:
        """Of the times of `seeds` trainings."""
        return self.theirs.seconds(seeds, their_beside) / self.ours.seconds(seeds, beside)

    def lines(self, theirs: str = "straightforward") -> list[str]:
        """What is printed of it."""
        return [
            self.step.line("a step", theirs=theirs),
            self.dev.line("dev, of the sample of pairs", theirs=theirs),
            f"mlsg, from parts: {self.ours.line()}",
            f"{theirs}, from parts: {self.theirs.line()}",
        ]


def whole_steps() -> int:
    """Steps of the recipe: 1,079 where STS-B is available."""
    return math.ceil(len(material.sentences()) / _BATCH)


def measure(mine: Lanes, theirs: Lanes, sizes: Sizes) -> Measured:
    """Measure the processes of both sides, which have done nothing yet, in alternating pairs where that can be."""
    with_views, begun = mine.do("begin with views"), mine.do("begin")
    loading = theirs.do("begin")
    step, dev = _steps(mine, theirs, sizes, 0), _evaluations(mine, theirs, sizes)
    checkpoint, best, encoder = (mine.do(what) for what in ("checkpoint", "best", "encoder"))
    everything = material.sentences()
    views = max(0.0, with_views - begun) * len(set(everything)) / sizes.sample
    stepping, measuring, later = _whole(step.ours, dev.ours, sizes)
    written = _checkpoints(stepping + later * measuring, checkpoint, mine.ask("bytes of a checkpoint"))
    parts = Parts(
        {"views": views},
        {"dev before": measuring},
        {
            "loading": begun,
            "steps": stepping,
            "dev": later * measuring,
            "checkpoints": written * checkpoint,
            "bests": _BESTS * best,
            "encoder": encoder,
        },
    )
    return Measured(parts, _plain_parts(step, dev, sizes, loading, theirs.do("best")), step, dev)


def measure_again(found: Measured, mine: Lanes, theirs: Lanes, sizes: Sizes) -> Measured:
    """The same processes of mlsg against other ones, which have begun; of mlsg, steps and dev are measured again."""
    step, dev = _steps(mine, theirs, sizes, sizes.steps * (sizes.pairs + _WARMUP)), _evaluations(mine, theirs, sizes)
    stepping, measuring, later = _whole(step.ours, dev.ours, sizes)
    each = {**found.ours.each, "steps": stepping, "dev": later * measuring}
    parts = replace(found.ours, first={"dev before": measuring}, each=each)
    theirs_ = _plain_parts(step, dev, sizes, found.theirs.each["loading"], theirs.do("best"))
    return Measured(parts, theirs_, step, dev)


def _plain_parts(step: Comparison, dev: Comparison, sizes: Sizes, loading: float, best: float) -> Parts:
    stepping, measuring, later = _whole(step.theirs, dev.theirs, sizes)
    each = {"loading": loading, "steps": stepping, "dev": (1 + later) * measuring, "bests": _BESTS * best}
    return Parts({}, {}, each)


def _whole(step: Sequence[float], dev: Sequence[float], sizes: Sizes) -> tuple[float, float, int]:
    """Seconds of all steps and of one whole dev evaluation, and how often dev is measured after the first time."""
    steps, share = whole_steps(), len(material.dev_pairs().scores) / sizes.dev
    return steps * median(step), share * median(dev), math.ceil(steps / _DEV_EVERY)


def _steps(mine: Lanes, theirs: Lanes, sizes: Sizes, first: int) -> Comparison:
    """Seconds of a step; a measurement is of several, on the same batches on both sides."""
    begins = iter(range(first, first + sizes.steps * (sizes.pairs + _WARMUP), sizes.steps))
    found = take_turns(
        lambda: mine.do("step", sizes.steps),
        lambda: theirs.do("step", mine.ask("texts", next(begins), sizes.steps)),
        pairs=sizes.pairs,
        warmup=_WARMUP,
    )
    ours, theirs_ = (tuple(seconds / sizes.steps for seconds in side) for side in (found.ours, found.theirs))
    return Comparison(ours, theirs_)


def _evaluations(mine: Lanes, theirs: Lanes, sizes: Sizes) -> Comparison:
    return take_turns(lambda: mine.do("dev"), lambda: theirs.do("dev"), pairs=max(1, sizes.pairs // 2))


def _checkpoints(seconds: float, cost: float, size: int) -> int:
    """How many checkpoints a training of `seconds` writes."""
    steps, clock, written = whole_steps(), 0.0, 0
    due = size / 1e9 / Run.max_save_share
    for _ in range(steps // Run.save_steps):
        clock += seconds * Run.save_steps / steps
        if clock >= due:
            written, clock = written + 1, clock + cost
            due = clock + cost / Run.max_save_share
    return written
