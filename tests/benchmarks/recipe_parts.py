"""What a whole training is put together from: each part measured on a sample, times how often it happens.

The recipe is zero_shot: STS-B's 17,256 sentences once, 1,079 steps, dev 23 times. Both sides are taken to save a new
best of dev five times; mlsg also writes checkpoints, at its own pace, and an encoder at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

from mlsg.train.pace import Pace
from tests.benchmarks import material, ours, straightforward
from tests.benchmarks.ratio import Comparison, alternate, timed

_BATCH = 16
_DEV_EVERY = 50
_BESTS = 5


@dataclass(frozen=True)
class Parts:
    """Seconds of each part at full length."""

    shared: dict[str, float]
    """Done once for all seeds; trainings that run at the same time share it out."""
    first: dict[str, float]
    """Done once by each of those that run at the same time, and by none that begins later."""
    each: dict[str, float]
    """Done by every training."""

    def seconds(self, seeds: int, beside: int = 1) -> float:
        """Of so many trainings, so many of them at a time."""
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


@dataclass(frozen=True)
class Measured:
    """Parts of both sides, and what they were made from."""

    ours: Parts
    theirs: Parts
    step: Comparison
    dev: Comparison


def measure(
    shape: str,
    precision: str,
    sizes: Sizes,
    device: str,
    folder: Path,
    *,
    seed: int = 1,
    ready: Callable[[], object] = lambda: None,
) -> Measured:
    """Measure in `folder`; `ready` is called before each measurement and may wait for another process."""
    base = material.base_folder(shape, folder)
    everything, dev = material.sentences(), material.dev_pairs()
    steps = math.ceil(len(everything) / _BATCH)
    sample, dev_sample = material.sentences(sizes.sample), material.dev_pairs(sizes.dev)
    begun: list[ours.Ours] = []
    plain: list[straightforward.Straightforward] = []

    def once(work: Callable[[], object]) -> float:
        ready()
        return timed(work)

    with ours.on(device):
        place = ours.setting(folder / "ours", base, sample, dev_sample)
        first = once(lambda: place.begin(precision=precision, seed=1000 + seed))
        again = once(lambda: begun.append(place.begin(precision=precision, seed=seed)))
    loading = once(lambda: plain.append(straightforward.start(base, steps, device=device, seed=seed)))
    fast, slow = begun[0], plain[0]
    slow.sorted_dev = sizes.sorted_dev
    step = _steps(fast, slow, sizes, ready)
    evaluation = alternate(
        fast.measure, lambda: slow.evaluate(dev_sample), pairs=sizes.pairs // 2, warmup=0, ready=ready
    )
    checkpoint, best, finish = (once(work) for work in (fast.save, fast.save_best, fast.finish))
    saving = once(lambda: slow.save(folder / "saved"))

    share = len(dev.scores) / len(dev_sample.scores)
    later = math.ceil(steps / _DEV_EVERY)
    stepping, measuring = steps * median(step.ours), share * median(evaluation.ours)
    written = _checkpoints(steps, stepping + later * measuring, checkpoint, fast.checkpoint_size)
    mine = Parts(
        {"views": max(0.0, first - again) * len(set(everything)) / len(sample)},
        {"dev before": measuring},
        {
            "loading": again,
            "steps": stepping,
            "dev": later * measuring,
            "checkpoints": written * checkpoint,
            "bests": _BESTS * best,
            "encoder": finish,
        },
    )
    theirs = {
        "loading": loading,
        "steps": steps * median(step.theirs),
        "dev": (1 + later) * share * median(evaluation.theirs),
        "bests": _BESTS * saving,
    }
    return Measured(mine, Parts({}, {}, theirs), step, evaluation)


def mean_parts(parts: Sequence[Parts]) -> Parts:
    """The mean of what several processes have measured."""

    def means(tables: Sequence[dict[str, float]]) -> dict[str, float]:
        return {name: mean(table[name] for table in tables) for name in tables[0]}

    return Parts(*(means([getattr(part, kind) for part in parts]) for kind in ("shared", "first", "each")))


def _steps(
    fast: ours.Ours, slow: straightforward.Straightforward, sizes: Sizes, ready: Callable[[], object]
) -> Comparison:
    """Seconds of a step; a measurement is of several steps, on the same batches on both sides."""
    warmup = max(1, 2 // sizes.steps)
    batches = iter([fast.texts_of(step) for step in range(sizes.steps * (sizes.pairs + warmup))])
    found = alternate(
        lambda: [fast.step() for _ in range(sizes.steps)],
        lambda: [float(slow.step(next(batches))) for _ in range(sizes.steps)],
        pairs=sizes.pairs,
        warmup=warmup,
        ready=ready,
    )
    return Comparison(*(tuple(seconds / sizes.steps for seconds in side) for side in (found.ours, found.theirs)))


def _checkpoints(steps: int, seconds: float, cost: float, size: int) -> int:
    """How many a training of so many seconds writes, by its pace."""
    pace, clock, written = Pace(), 0.0, 0
    due = pace.before_first(size)
    for _ in range(steps // pace.every):
        clock += seconds * pace.every / steps
        if clock >= due:
            written, clock = written + 1, clock + cost
            due = clock + pace.after(cost)
    return written
