"""(a) Eight seeds: mlsg, two at a time with one thread each, against the straightforward procedure.

    python -m benchmarks.bench_seeds --shape mbert

`mlsg train --seeds 1-8 --jobs 2` is what is put together here from measured parts (`recipe_parts`): the processes of
one side do each part at the same time. Trainings that run together share out the views, and each of them measures the
base; those that begin later find both. The other side is measured in two ways, each in alternating pairs with mlsg: two
trainings at a time as well, and one after the other on all cores, which is how a script is run. For mBERT's shape that
is four processes of 4.5 GB each.
"""

from __future__ import annotations

import argparse
import os

from benchmarks.machine import describe
from benchmarks.recipe_parts import Sizes, measure, measure_again
from benchmarks.sides import lanes


def main(arguments: list[str] | None = None) -> None:
    """Print the machine, the parts and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=["mbert", "starter", "tiny"], default="mbert")
    parser.add_argument("--precision", choices=["bf16", "float32"], default="bf16")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--steps", type=int, default=4, help="steps of one measurement")
    parser.add_argument("--sample", type=int, default=1024)
    parser.add_argument("--dev", type=int, default=300)
    given = parser.parse_args(arguments)
    print(describe())
    sizes = Sizes(given.pairs, given.sample, given.dev, given.steps)
    task = sizes.task(given.shape, given.precision, "cpu")
    with (
        lanes("mlsg", task, count=given.jobs, threads=1) as mine,
        lanes("straightforward", task, count=given.jobs, threads=1) as theirs,
    ):
        beside = measure(mine, theirs, sizes)
        alone = theirs.first()
        alone.do("threads", os.cpu_count())
        script = measure_again(beside, mine, alone, sizes)
    name = f"{given.seeds} seeds, {given.shape}, {given.precision} against float32, mlsg {given.jobs} at a time"
    for found, their, how in (
        (beside, given.jobs, f"{given.jobs} at a time too"),
        (script, 1, "one after the other on all cores"),
    ):
        print("\n".join(found.lines(f"straightforward, {how}")))
        spent, ratio = found.ours.seconds(given.seeds, given.jobs), found.ratio(given.seeds, given.jobs, their)
        print(f"{name}, straightforward {how}: mlsg {spent:.0f} s, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
