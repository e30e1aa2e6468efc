"""(a) A whole recipe, and eight seeds of it: mlsg against the straightforward procedure.

    python -m benchmarks.bench_recipe --shape mbert                   # minutes: put together from measured parts
    python -m benchmarks.bench_recipe --shape mbert --full            # both really run; hours on two cores
    python -m benchmarks.bench_recipe --device cuda --full            # on a GPU
    python -m benchmarks.bench_recipe --full --seeds 8                # eight seeds really run

Without --full each part is measured on a sample (`recipe_parts`), steps and dev evaluations in alternating pairs, each
side in a process of its own. With
--unsorted-dev the other side does not sort its dev sentences by length; the library of the authors' script does. Eight
seeds are one after the other here; several at a time are in `bench_seeds`.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import material, ours, straightforward
from benchmarks.machine import describe
from benchmarks.ratio import Comparison, timed
from benchmarks.recipe_parts import Sizes, measure
from benchmarks.sides import lanes

_SEEDS = 8


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
    if given.full:
        with TemporaryDirectory() as folder:
            fast, plain = full(given.shape, given.precision, given.seeds, given.device, Path(folder))
        ratio = Comparison(tuple(fast), tuple(plain)).ratio
        print(f"whole recipe, {name}, really run: ratio {ratio:.2f}")
        print(f"{len(fast)} seeds: mlsg {sum(fast):.1f} s, ratio {sum(plain) / sum(fast):.2f}")
        return
    sizes = Sizes(given.pairs, given.sample, given.dev, sorted_dev=not given.unsorted_dev)
    task = sizes.task(given.shape, given.precision, given.device)
    with lanes("mlsg", task) as mine, lanes("straightforward", task) as theirs:
        found = measure(mine, theirs, sizes)
    print("\n".join(found.lines()))
    for seeds in (1, _SEEDS):
        what = "whole recipe" if seeds == 1 else f"{seeds} seeds, one after the other"
        spent, ratio = found.ours.seconds(seeds), found.ratio(seeds)
        print(f"{what}, {name}, put together from parts: mlsg {spent:.0f} s, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
