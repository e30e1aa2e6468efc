"""(a) Eight seeds, several at a time with one thread each: mlsg against the straightforward procedure run the same way.

    python -m tests.benchmarks.bench_seeds --shape mbert --beside 2

Each of the processes measures the parts of both sides (`recipe_parts`), and waits before each measurement until the
others have come as far: what is timed always runs beside its like. Trainings that run at the same time share out the
views, and each of them measures the base; those that begin later find both.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Barrier

from tests.benchmarks.machine import describe
from tests.benchmarks.recipe_parts import Measured, Sizes, mean_parts, measure

_HOURS = 3600.0


def main(arguments: list[str] | None = None) -> None:
    """Print the machine, the parts and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=["mbert", "starter", "tiny"], default="mbert")
    parser.add_argument("--precision", choices=["bf16", "float32"], default="bf16")
    parser.add_argument("--beside", type=int, default=2, help="trainings at a time")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--steps", type=int, default=4, help="steps of one measurement")
    parser.add_argument("--sample", type=int, default=1024)
    parser.add_argument("--dev", type=int, default=300)
    given = parser.parse_args(arguments)
    print(describe())
    sizes = Sizes(given.pairs, given.sample, given.dev, given.steps)
    found = beside(given.shape, given.precision, sizes, given.beside)
    for number, each in enumerate(found):
        print(each.step.line(f"process {number}, a step, {given.pairs} pairs of {given.steps} steps"))
        print(each.dev.line(f"process {number}, dev, {given.dev} pairs of sentences"))
    mine, theirs = mean_parts([each.ours for each in found]), mean_parts([each.theirs for each in found])
    print(f"mlsg, from parts: {mine.line()}")
    print(f"straightforward, from parts: {theirs.line()}")
    spent = mine.seconds(given.seeds, given.beside)
    ratio = theirs.seconds(given.seeds, given.beside) / spent
    name = f"{given.seeds} seeds, {given.beside} at a time with one thread each"
    print(f"{name}, {given.shape}, {given.precision} against float32: mlsg {spent:.0f} s, ratio {ratio:.2f}")


def beside(shape: str, precision: str, sizes: Sizes, processes: int) -> list[Measured]:
    """What each of so many processes has measured while the others did."""
    context = multiprocessing.get_context("spawn")
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"  # inherited, and read before torch is there
    try:
        with (
            context.Manager() as manager,
            ProcessPoolExecutor(processes, mp_context=context) as pool,
        ):
            barrier = manager.Barrier(processes)
            begun = [pool.submit(_one, shape, precision, sizes, seed, barrier) for seed in range(1, processes + 1)]
            return [each.result() for each in begun]
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


def _one(shape: str, precision: str, sizes: Sizes, seed: int, barrier: Barrier) -> Measured:
    with TemporaryDirectory() as folder:
        try:
            return measure(shape, precision, sizes, "cpu", Path(folder), seed=seed, ready=lambda: barrier.wait(_HOURS))
        except BaseException:
            barrier.abort()  # or the others would wait for hours
            raise


if __name__ == "__main__":
    main()
