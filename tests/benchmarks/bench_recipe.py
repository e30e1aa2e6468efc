"""(a) A whole recipe, and eight seeds of it: mlsg against the straightforward procedure.

    python -m tests.benchmarks.bench_recipe --shape mbert                   # minutes: put together from measured parts
    python -m tests.benchmarks.bench_recipe --shape mbert --full            # both really run; hours on two cores
    python -m tests.benchmarks.bench_recipe --device cuda --full            # on a GPU
    python -m tests.benchmarks.bench_recipe --full --seeds 8                # eight seeds really run

The recipe is zero_shot: STS-B's 17,256 sentences once, 1,079 steps, dev 23 times. Without --full each part is measured
on a sample (steps in alternating pairs, one dev evaluation of a sample of pairs in alternating pairs, views of a sample
of sentences, one checkpoint, one saving of the model) and multiplied by how often it happens; both sides are taken to
save a new best of dev five times. With --unsorted-dev the other side does not sort its dev sentences by length; the
library of the authors' script does.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from mlsg.train.pace import Pace
from tests.benchmarks import material, ours, straightforward
from tests.benchmarks.machine import describe
from tests.benchmarks.ratio import Comparison, alternate, timed

_BATCH = 16
_DEV_EVERY = 50
_BESTS = 5
_SEEDS = 8


@dataclass(frozen=True)
class Parts:
    """Seconds of each part at full length; `once` is shared by seeds, `each` is not."""

    once: dict[str, float]
    each: dict[str, float]

    def seconds(self, seeds: int) -> float:
        """Of so many trainings."""
        return sum(self.once.values()) + seeds * sum(self.each.values())

    def line(self) -> str:
        """What is printed of it."""
        return ", ".join(f"{name} {seconds:.1f} s" for name, seconds in {**self.once, **self.each}.items())


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    pairs: int
    sample: int
    """Sentences whose views are made."""
    dev: int
    """Pairs of a dev evaluation."""
    sorted_dev: bool = True


def extrapolate(shape: str, precision: str, sizes: Sizes, device: str, folder: Path) -> tuple[Parts, Parts]:
    """Parts of both sides, mlsg's first."""
    base = material.base_folder(shape, folder)
    everything, dev = material.sentences(), material.dev_pairs()
    steps = math.ceil(len(everything) / _BATCH)
    measurements = 1 + math.ceil(steps / _DEV_EVERY)
    sample, dev_sample = material.sentences(sizes.sample), material.dev_pairs(sizes.dev)
    begun: list[ours.Ours] = []
    plain: list[straightforward.Straightforward] = []

    with ours.on(device):
        place = ours.setting(folder / "ours", base, sample, dev_sample)
        first = timed(lambda: place.begin(precision=precision, seed=1))
        again = timed(lambda: begun.append(place.begin(precision=precision, seed=2)))
    loading = timed(lambda: plain.append(straightforward.start(base, steps, device=device)))
    plain[0].sorted_dev = sizes.sorted_dev
    step = _steps(begun[0], plain[0], sizes.pairs)
    measuring = alternate(begun[0].measure, lambda: plain[0].evaluate(dev_sample), pairs=sizes.pairs // 2, warmup=0)
    checkpoint = timed(begun[0].save)
    saving = timed(lambda: plain[0].save(folder / "saved"))
    print(step.line(f"a step, {sizes.pairs} pairs of {steps} steps"))
    print(measuring.line(f"dev, {len(dev_sample.scores)} of {len(dev.scores)} pairs"))

    views = max(0.0, first - again) * len(set(everything)) / len(sample)
    evaluations = measurements * len(dev.scores) / len(dev_sample.scores)
    bests = saving * _BESTS
    stepping, dev = steps * median(step.ours), evaluations * median(measuring.ours)
    mine = Parts(
        {"views": views},
        {
            "loading": again,
            "steps": stepping,
            "dev": dev,
            "checkpoints": checkpoint * _checkpoints(steps, stepping + dev, checkpoint, begun[0].checkpoint_size),
            "saving": bests,
        },
    )
    theirs = Parts(
        {},
        {
            "loading": loading,
            "steps": steps * median(step.theirs),
            "dev": evaluations * median(measuring.theirs),
            "saving": bests,
        },
    )
    return mine, theirs


def full(shape: str, precision: str, seeds: int, device: str, folder: Path) -> tuple[list[float], list[float]]:
    """Seconds of whole trainings, one a seed, really run alternately; mlsg's first one makes the views."""
    base = material.base_folder(shape, folder)
    everything, dev = material.sentences(), material.dev_pairs()
    mine, theirs = [], []
    with ours.on(device):
        place = ours.corpus(folder / "ours", base)
        for seed in range(1, seeds + 1):
            mine.append(timed(partial(place.train, place.recipe(precision=precision, seed=seed))))
            print(f"seed {seed}: mlsg {mine[-1]:.1f} s", flush=True)
            out = folder / "saved"
            theirs.append(timed(partial(straightforward.train, base, everything, dev, out, device=device, seed=seed)))
            print(f"seed {seed}: straightforward {theirs[-1]:.1f} s, ratio {theirs[-1] / mine[-1]:.2f}", flush=True)
    return mine, theirs


def main(arguments: list[str] | None = None) -> None:
    """Print the machine, the parts and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=["mbert", "starter", "tiny"], default="mbert")
    parser.add_argument("--precision", choices=["bf16", "float32"], default="bf16")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--seeds", type=int, default=1, help="with --full")
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--sample", type=int, default=1024)
    parser.add_argument("--dev", type=int, default=150)
    parser.add_argument("--unsorted-dev", action="store_true", help="of the other side; without --full")
    given = parser.parse_args(arguments)
    ours.check_device(given.device)
    print(describe())
    name = f"{given.shape}, {given.precision} against float32, {given.device}"
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if given.full:
            mine, theirs = full(given.shape, given.precision, given.seeds, given.device, folder)
            ratio = Comparison(tuple(mine), tuple(theirs)).ratio
            print(f"whole recipe, {name}, really run: ratio {ratio:.2f}")
            print(f"{len(mine)} seeds: mlsg {sum(mine):.1f} s, ratio {sum(theirs) / sum(mine):.2f}")
            return
        sizes = Sizes(given.pairs, given.sample, given.dev, sorted_dev=not given.unsorted_dev)
        fast, plain = extrapolate(given.shape, given.precision, sizes, given.device, folder)
    print(f"mlsg, from parts: {fast.line()}")
    print(f"straightforward, from parts: {plain.line()}")
    for seeds in (1, _SEEDS):
        what = "whole recipe" if seeds == 1 else f"{seeds} seeds"
        ratio = plain.seconds(seeds) / fast.seconds(seeds)
        print(f"{what}, {name}, put together from parts: mlsg {fast.seconds(seeds):.0f} s, ratio {ratio:.2f}")


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


def _steps(fast: ours.Ours, plain: straightforward.Straightforward, pairs: int) -> Comparison:
    warmup = 2
    batches = iter([fast.texts_of(step) for step in range(pairs + warmup)])
    return alternate(fast.step, lambda: float(plain.step(next(batches))), pairs=pairs, warmup=warmup)


if __name__ == "__main__":
    main()
